/** How to reach NATS, and how its logs are kept. */
export interface NatsOptions {
  /**
   * `nats://host:4222`, or several of one cluster; `tls://` wants TLS. A user and password, or a token, may stand in the
   * first one: `nats://ann:secret@host`.
   */
  readonly servers: string | readonly string[];
  /** Begins every subject and stream, so that several apps can share a NATS: letters, digits, `_`, `-`. Default `fanfare`. */
  readonly prefix?: string;
  /** `false`: core NATS, no JetStream: at most once, and nothing is kept. Default true. */
  readonly log?: boolean;
  /** Copies of every message in a JetStream cluster: 1, 3 or 5. Counts when the streams are made. Default 1. */
  readonly replicas?: number;
  /** Counts when the streams are made. `memory` loses all when the servers stop. Default `file`. */
  readonly storage?: "file" | "memory";
  /** How long a call waits for NATS, in all, before it is `unavailable`; milliseconds. Default 5,000. */
  readonly waitMs?: number;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** What a `.creds` file holds. */
  readonly credentials?: string;
  /** As for node:tls: `ca`, `cert` and `key` are PEM texts. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** The options as the driver uses them. */
export interface NatsSettings {
  readonly servers: readonly string[];
  readonly isTls: boolean;
  readonly prefix: string;
  readonly log: boolean;
  readonly replicas: number;
  readonly storage: "file" | "memory";
  readonly waitMs: number;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly token: string | undefined;
  readonly credentials: string | undefined;
  readonly tls: NatsOptions["tls"];
}

/** Throws a TypeError or RangeError that says what was expected. */
export function resolveOptions(options: NatsOptions): NatsSettings {
  const given = typeof options.servers === "string" ? options.servers.split(",") : options.servers;
  const urls = given.map((text) => readServer(text.trim()));
  const [first] = urls;
  if (first === undefined) throw new TypeError("nats: servers must name at least one, such as nats://127.0.0.1:4222");
  const { prefix = "fanfare", replicas = 1, waitMs = 5_000 } = options;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(prefix)) {
    throw new TypeError(`nats: prefix is 1 to 64 of letters, digits, _ and -, got ${JSON.stringify(prefix)}`);
  }
  if (![1, 3, 5].includes(replicas)) throw new RangeError(`nats: replicas is 1, 3 or 5, got ${replicas}`);
  if (!Number.isSafeInteger(waitMs) || waitMs < 100 || waitMs > 600_000) {
    throw new RangeError(`nats: waitMs is an integer from 100 to 600000, got ${waitMs}`);
  }
  const hasPassword = first.password !== "";
  const user = decodeURIComponent(first.username);
  return {
    servers: urls.map(({ host }) => host),
    isTls: options.tls !== undefined || urls.some(({ protocol }) => protocol === "tls:"),
    prefix,
    log: options.log ?? true,
    replicas,
    storage: options.storage ?? "file",
    waitMs,
    user: options.user ?? (hasPassword ? user : undefined),
    password: options.password ?? (hasPassword ? decodeURIComponent(first.password) : undefined),
    // As NATS has it: a name without a password is a token.
    token: options.token ?? (!hasPassword && user !== "" ? user : undefined),
    credentials: options.credentials,
    tls: options.tls,
  };
}

const schemes = /^nats(\+core)?(\+tls)?:\/\/([^?]*)(?:\?(.*))?$/s;

/**
 * The options in one text: `nats://HOST,HOST?replicas=3&storage=memory&prefix=app&wait_ms=2000`, `nats+tls://`, and
 * `nats+core://` for no log. Throws as `resolveOptions`; what it says repeats nothing of a password.
 */
export function optionsOfUrl(url: string): NatsOptions {
  const [, core, tls, servers, query] = schemes.exec(url) ?? [];
  if (servers === undefined)
    throw new TypeError("nats: a URL begins with nats://, nats+tls://, nats+core:// or nats+core+tls://");
  const params = new URLSearchParams(query);
  const unknown = [...params.keys()].find((name) => !["replicas", "storage", "prefix", "wait_ms"].includes(name));
  if (unknown !== undefined)
    throw new TypeError("nats: a URL may have replicas, storage, prefix and wait_ms after its ?");
  const [prefix, replicas, storage, waitMs] = ["prefix", "replicas", "storage", "wait_ms"].map((name) =>
    params.get(name),
  );
  if (storage !== null && storage !== undefined && storage !== "file" && storage !== "memory") {
    throw new TypeError("nats: storage is file or memory");
  }
  const options: NatsOptions = {
    servers: servers.split(",").map((each) => `${tls === undefined ? "nats" : "tls"}://${each}`),
    log: core === undefined,
    ...(typeof prefix === "string" && { prefix }),
    ...(typeof replicas === "string" && { replicas: Number(replicas) }),
    ...(typeof storage === "string" && { storage }),
    ...(typeof waitMs === "string" && { waitMs: Number(waitMs) }),
  };
  resolveOptions(options);
  return options;
}

function readServer(text: string): { protocol: string; host: string; username: string; password: string } {
  const withScheme = text.includes("://") ? text : `nats://${text}`;
  const wanted = "nats: a server is nats://HOST:PORT or tls://HOST:PORT";
  if (!URL.canParse(withScheme)) throw new TypeError(`${wanted}, and this is no URL`);
  const url = new URL(withScheme);
  const isKnown = url.protocol === "nats:" || url.protocol === "tls:";
  const isPlain = (url.pathname === "" || url.pathname === "/") && url.search === "" && url.hash === "";
  if (!isKnown || !isPlain || url.hostname === "") throw new TypeError(`${wanted}, without a path or query`);
  return {
    protocol: url.protocol,
    host: url.port === "" ? `${url.hostname}:4222` : url.host,
    username: url.username,
    password: url.password,
  };
}
