import type { Keep } from "../protocol/contract.ts";
import { checkOrigins } from "../server/auth/origin.ts";
import { defaultLimits, type Limits, resolveLimits } from "../server/options.ts";
import { checkTrustedProxies } from "../server/proxies.ts";
import { checkRates, rateNames, type Rates } from "../server/rates.ts";
import { type BackendSetting, readBackend, withPrefix } from "./backend-setting.ts";
import { oneLine } from "./io.ts";
import {
  type Flag,
  type Given,
  one,
  readBoolean,
  readFlags,
  readInteger,
  readNumber,
  readText,
  UsageError,
} from "./flags.ts";

export interface ApiKey {
  /** For logs; `key` where none was given. */
  readonly name: string;
  readonly key: string;
}

const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** What `serve` was told. What is absent was not said, so that a config file's own word or the default holds. */
export interface ServeSettings {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly secret: string | undefined;
  readonly jwks: string | undefined;
  readonly apiKeys: readonly ApiKey[];
  readonly origins: readonly string[] | undefined;
  readonly trustedProxies: readonly string[] | undefined;
  readonly anonymous: boolean | undefined;
  readonly dev: boolean;
  readonly backend: BackendSetting | undefined;
  readonly config: string | undefined;
  readonly limits: Partial<Limits>;
  readonly rates: Rates;
  readonly keep: Partial<Keep>;
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  /** Processes that share the port. */
  readonly workers: number;
}

type ServeFlag =
  | "host"
  | "port"
  | "secret"
  | "jwks"
  | "api-key"
  | "origin"
  | "trusted-proxy"
  | "anonymous"
  | "dev"
  | "backend"
  | "redis-prefix"
  | "config"
  | "limit"
  | "rate"
  | "keep-messages"
  | "keep-ms"
  | "drain-ms"
  | "log-level"
  | "workers";

export const serveFlags: Readonly<Record<ServeFlag, Flag>> = {
  host: { type: "string", valueHint: "ADDRESS", description: "where to listen; default 127.0.0.1" },
  port: { type: "string", valueHint: "N", description: "default 8080; 0 takes any free one" },
  secret: {
    type: "string",
    valueHint: "TEXT",
    description: "checks tokens by HS256; other users see flags, so prefer FANFARE_SECRET",
  },
  jwks: { type: "string", valueHint: "URL", description: "checks tokens by the keys published there" },
  "api-key": { type: "string", valueHint: "[NAME=]KEY", description: "a key of the operator", repeated: true },
  origin: {
    type: "string",
    valueHint: "ORIGIN",
    description: "lets pages of that origin in; * lets in all; default: the server's own",
    repeated: true,
  },
  "trusted-proxy": {
    type: "string",
    valueHint: "ADDRESS",
    description: "a proxy, or a range such as 10.0.0.0/8, whose X-Forwarded-For is believed; default: none",
    repeated: true,
  },
  anonymous: {
    type: "boolean",
    description: "lets connections without a token in, to a personal room each; a config's anonymousRooms gives more",
  },
  dev: { type: "boolean", description: "opens everything and serves the chat, for a machine of your own" },
  backend: {
    type: "string",
    valueHint: "memory|lmdb:DIR|redis://HOST|nats://HOST",
    description: "where messages are kept; a URL with a password belongs in FANFARE_BACKEND; default lmdb:./.fanfare",
  },
  "redis-prefix": {
    type: "string",
    valueHint: "TEXT",
    description: "what every key and channel in Redis begins with; default fanfare:",
  },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "an ES module whose default export holds hub options; flags beat it",
  },
  limit: {
    type: "string",
    valueHint: "NAME=VALUE",
    description: "sets a limit, e.g. requests_per_s=5000",
    repeated: true,
  },
  rate: {
    type: "string",
    valueHint: "NAME=VALUE",
    description: "sets a rate that connections share, e.g. user_requests_per_s=100; default: none",
    repeated: true,
  },
  "keep-messages": { type: "string", valueHint: "N", description: "messages kept of a room; default 1000" },
  "keep-ms": { type: "string", valueHint: "N", description: "how long they are kept; default 24 hours" },
  "drain-ms": { type: "string", valueHint: "N", description: "time to close connections in at shutdown; default 5000" },
  "log-level": { type: "string", valueHint: "LEVEL", description: `${logLevels.join(", ")}; default info` },
  workers: {
    type: "string",
    valueHint: "N",
    description: "processes that share the port; more than 1 wants a backend that they share; default 1",
  },
};

/** More than any machine has cores to run. */
const maxWorkers = 256;

const defaultPort = 8_080;
const defaultDrainMs = 5_000;
/** A timer of Node's cannot be longer. */
const maxTimerMs = 2 ** 31 - 1;

/** Throws a UsageError, whose message names the flag or variable and what it takes. Reads nothing but its arguments. */
export function readServeSettings(args: readonly string[], env: NodeJS.ProcessEnv): ServeSettings {
  const given = readFlags(serveFlags, args, env);
  const keepMessages = one(given["keep-messages"], readInteger(1));
  const keepMs = one(given["keep-ms"], readInteger(1));
  return {
    host: one(given.host, readText) ?? "127.0.0.1",
    port: one(given.port, readInteger(0, 65_535)) ?? defaultPort,
    secret: one(given.secret, readText),
    jwks: one(given.jwks, readKeySetUrl),
    apiKeys: (given["api-key"]?.values ?? []).map((value) => readApiKey(value, given["api-key"]?.source ?? "")),
    origins: given.origin?.values.map((value) => readOrigin(value, given.origin?.source ?? "")),
    trustedProxies: readTrustedProxies(given["trusted-proxy"]),
    anonymous: one(given.anonymous, readBoolean),
    dev: one(given.dev, readBoolean) ?? false,
    backend: withPrefix(one(given.backend, readBackend), given["redis-prefix"]),
    config: one(given.config, readText),
    limits: readLimits(given.limit),
    rates: readRates(given.rate),
    keep: {
      ...(keepMessages === undefined ? {} : { messages: keepMessages }),
      ...(keepMs === undefined ? {} : { ms: keepMs }),
    },
    drainMs: one(given["drain-ms"], readInteger(0, maxTimerMs)) ?? defaultDrainMs,
    logLevel: one(given["log-level"], readLogLevel) ?? "info",
    workers: one(given.workers, readInteger(1, maxWorkers)) ?? 1,
  };
}

/** The name of a limit on the wire and in flags: `requestsPerS` is `requests_per_s`. */
function wireName(limit: string): string {
  return limit.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function byWireName(names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [wireName(name), name]));
}

const limitsByWireName = byWireName(Object.keys(defaultLimits));
const ratesByWireName = byWireName(rateNames);

function readLimits(given: Given | undefined): Partial<Limits> {
  const limits = readNumbers(given, limitsByWireName, readInteger(0));
  inWireNames(() => resolveLimits(limits));
  return limits;
}

function readRates(given: Given | undefined): Rates {
  const rates = readNumbers(given, ratesByWireName, readNumber);
  inWireNames(() => checkRates(rates));
  return rates;
}

function readNumbers(
  given: Given | undefined,
  names: ReadonlyMap<string, string>,
  read: (value: string, source: string) => number,
): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const text of given?.values ?? []) {
    const source = given?.source ?? "";
    const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    const known = names.get(name);
    if (known === undefined) {
      const all = [...names.keys()].join(", ");
      throw new UsageError(`${source} wants NAME=VALUE with a name of: ${all}; got ${JSON.stringify(text)}`);
    }
    numbers[known] = read(value, `${source} ${name}`);
  }
  return numbers;
}

/** The rules between limits and the protocol are the hub's own; only their names differ here. */
function inWireNames(check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(error.message.replace(/\b[a-z]+[A-Z]\w*/, wireName));
  }
}

/** KEY or NAME=KEY. A key may itself hold or end with `=` (base64): only a plain name before it is a name. */
function readApiKey(text: string, source: string): ApiKey {
  const named = /^([A-Za-z0-9_-]{1,64})=([^=].*)$/s.exec(text);
  const key = named?.[2] ?? text;
  if (key === "" || /[\s,]/.test(key))
    throw new UsageError(`${source} wants KEY or NAME=KEY, without spaces or commas`);
  return { name: named?.[1] ?? "key", key };
}

function readOrigin(text: string, source: string): string {
  try {
    checkOrigins([text]);
    return text;
  } catch {
    throw new UsageError(`${source} wants * or an origin such as https://app.example.com, got ${JSON.stringify(text)}`);
  }
}

function readTrustedProxies(given: Given | undefined): readonly string[] | undefined {
  if (given === undefined) return undefined;
  try {
    checkTrustedProxies(given.values);
    return given.values;
  } catch (error) {
    throw new UsageError(`${given.source}: ${oneLine(error)}`);
  }
}

function readKeySetUrl(text: string, source: string): string {
  if (/^(https?|file):/i.test(text) && URL.canParse(text)) return text;
  throw new UsageError(`${source} wants an https:, http: or file: URL, got ${JSON.stringify(text)}`);
}

function readLogLevel(text: string, source: string): LogLevel {
  const level = logLevels.find((known) => known === text);
  if (level === undefined)
    throw new UsageError(`${source} wants one of ${logLevels.join(", ")}, got ${JSON.stringify(text)}`);
  return level;
}
