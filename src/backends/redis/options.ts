import type { RedisOptions } from "ioredis";

/** How to reach Redis, and what keys in it are called. */
export interface RedisBackendOptions {
  /**
   * `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, or
   * `redis+sentinel://[user:password@]host[:port],host[:port]/master[/db]`. Default: `redis://127.0.0.1:6379`.
   */
  readonly url?: string;
  /** Options of ioredis, over what the URL says: `tls`, `sentinelPassword`, `natMap`. How to reconnect is ours. */
  readonly connection?: RedisOptions;
  /** What every key and channel begins with. Default `fanfare:`. Nodes see each other where it is the same. */
  readonly prefix?: string;
  /** How long a call waits for the engine before it rejects, in milliseconds. Default 5 000. */
  readonly waitMs?: number;
}

export interface Resolved {
  readonly connection: RedisOptions;
  readonly prefix: string;
  readonly waitMs: number;
  /** For messages: where it is, without credentials. */
  readonly place: string;
}

const defaultUrl = "redis://127.0.0.1:6379";
const defaultPort = 6_379;
const defaultSentinelPort = 26_379;

/** What of ioredis is not the app's to choose: whole replies in order, and no command sent twice behind our back. */
const ours: RedisOptions = {
  lazyConnect: true,
  // Each connection is one client, which is thrown away with it: so no call slips onto another one.
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  disableClientInfo: true,
  keyPrefix: "",
  protocol: 2,
};

const defaults: RedisOptions = {
  connectTimeout: 2_000,
  // Without it ioredis waits for ever for a sentinel that hangs, and asks no other one.
  sentinelCommandTimeout: 1_000,
  keepAlive: 5_000,
  connectionName: "fanfare",
};

/** Throws a RangeError whose message says what is expected. */
export function resolveOptions(options: RedisBackendOptions): Resolved {
  const { url = defaultUrl, connection = {}, prefix = "fanfare:", waitMs = 5_000 } = options;
  if (!Number.isSafeInteger(waitMs) || waitMs < 1) throw new RangeError(`waitMs must be 1 or more, got ${waitMs}`);
  // A brace would move the hash tag by which a room's keys stay together in a cluster.
  if (/[{}]/.test(prefix)) throw new RangeError(`prefix must not contain { or }, got ${JSON.stringify(prefix)}`);
  const named = parseUrl(url);
  return {
    connection: { ...defaults, ...named, ...connection, ...ours },
    prefix,
    waitMs,
    place: placeOf({ ...named, ...connection }),
  };
}

/**
 * The options of one connection. Each asks any one of the sentinels first: those that hang take the time of an attempt, and
 * must not take that of every attempt.
 */
export function optionsForOne(connection: RedisOptions): RedisOptions {
  const { sentinels } = connection;
  if (!sentinels) return connection;
  const first = Math.floor(Math.random() * sentinels.length);
  return { ...connection, sentinels: [...sentinels.slice(first), ...sentinels.slice(0, first)] };
}

/** Throws a RangeError; its message does not repeat the URL, which may hold a password. */
export function parseUrl(text: string): RedisOptions {
  const [, scheme = "", rest = ""] = /^(redis|rediss|redis\+sentinel):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === "") throw new RangeError("a Redis URL begins with redis://, rediss:// or redis+sentinel://");
  const [, login, hosts = "", path = ""] = /^(?:(.*)@)?([^/@]+)(?:\/(.*))?$/s.exec(rest) ?? [];
  if (hosts === "") throw new RangeError(`a Redis URL names a host after ${scheme}://`);
  const credentials = login === undefined ? {} : parseLogin(login);
  if (scheme === "redis+sentinel") {
    const [name = "", db] = path.split("/");
    if (name === "") throw new RangeError("redis+sentinel:// names the master after the sentinels: …/master[/db]");
    const sentinels = hosts.split(",").map((host) => parseHost(host, defaultSentinelPort));
    return { sentinels, name: decodeURIComponent(name), ...parseDb(db), ...credentials };
  }
  const tls = scheme === "rediss" ? { tls: {} } : {};
  return { ...parseHost(hosts, defaultPort), ...parseDb(path), ...tls, ...credentials };
}

function parseLogin(text: string): RedisOptions {
  const [username = "", ...password] = text.split(":");
  return {
    ...(username !== "" && { username: decodeURIComponent(username) }),
    ...(password.length > 0 && { password: decodeURIComponent(password.join(":")) }),
  };
}

function parseHost(text: string, fallback: number): { host: string; port: number } {
  const [, host = "", digits] = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? fallback : Number(digits);
  if (host === "" || port > 65_535) throw new RangeError(`a Redis URL wants host[:port], got ${JSON.stringify(text)}`);
  return { host: host.replace(/^\[|\]$/g, ""), port };
}

function parseDb(text: string | undefined): { db?: number } {
  if (text === undefined || text === "") return {};
  if (!/^\d{1,4}$/.test(text)) throw new RangeError(`a Redis URL's database is a number, got ${JSON.stringify(text)}`);
  return { db: Number(text) };
}

function placeOf({ sentinels, name, host, port, path }: RedisOptions): string {
  if (sentinels) return `${name} of the sentinels ${sentinels.map((each) => `${each.host}:${each.port}`).join(", ")}`;
  return path ?? `${host}:${port}`;
}
