import { readFileSync } from "node:fs";
import { type Authenticate, type Backend, type HubOptions, jwt, type Logger, memory } from "../server/index.ts";
import type { BackendSetting } from "./backend-setting.ts";
import type { Config } from "./config.ts";
import { UsageError } from "./flags.ts";
import { oneLine } from "./io.ts";
import type { ServeSettings } from "./settings.ts";

/** Where messages are kept when neither flag nor config says. */
const defaultBackend: BackendSetting = { kind: "lmdb", directory: "./.fanfare" };

/** What `serve` adds to settings and config. */
export interface Parts {
  readonly backend: Backend;
  readonly logger: Logger;
  /** Checks the tokens that `POST /dev/token` makes; only in dev mode. */
  readonly devSecret: string | undefined;
}

/** Flags over the config's options over the defaults. Throws a UsageError where nobody could ever connect. */
export function hubOptions(settings: ServeSettings, config: Config, parts: Parts): HubOptions {
  const { setup: _, ...options } = config;
  const auth = authentication(settings, config, parts.devSecret);
  const anonymous = settings.anonymous ?? (settings.dev || (config.anonymous ?? false));
  if (auth === undefined && !anonymous) {
    throw new UsageError("nobody could connect: give --secret, --jwks, a --config with auth, --anonymous, or --dev");
  }
  const origins = settings.origins ?? (settings.dev ? ["*"] : config.origins);
  return {
    ...options,
    backend: parts.backend,
    logger: config.logger ?? parts.logger,
    anonymous,
    // Like a token without the claim `rooms`: only the personal room, unless someone says more.
    anonymousRooms: settings.dev ? ["**"] : (config.anonymousRooms ?? []),
    keep: { ...config.keep, ...settings.keep },
    limits: { ...config.limits, ...settings.limits },
    rates: { ...config.rates, ...settings.rates },
    ...(auth === undefined ? {} : { auth }),
    ...(origins === undefined ? {} : { origins }),
    ...(settings.trustedProxies === undefined ? {} : { trustedProxies: settings.trustedProxies }),
  };
}

/** Opens nothing yet. A driver is loaded only when asked for: it may not run everywhere that the server does. */
export async function chooseBackend(settings: ServeSettings, config: Config): Promise<Backend> {
  if (settings.backend === undefined && config.backend !== undefined) return config.backend;
  const setting = settings.backend ?? defaultBackend;
  switch (setting.kind) {
    case "memory":
      return memory();
    case "lmdb": {
      const { lmdb } = await import("../backends/lmdb/index.ts");
      return lmdb({ directory: setting.directory });
    }
    case "redis": {
      const { redis } = await driver("ioredis", () => import("../backends/redis/index.ts"));
      const { url, prefix } = setting;
      return redis({ url, ...(prefix !== undefined && { prefix }) });
    }
    case "nats": {
      const { nats } = await driver("@nats-io/transport-node", () => import("../backends/nats/index.ts"));
      return nats(setting.options);
    }
  }
}

/** Drivers of engines are not installed with Fanfare: most servers need none, and nobody needs all. */
export async function driver<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
    if (!isMissing || !error.message.includes(`'${name}'`)) throw error;
    throw new UsageError(`this backend needs the package ${name}: run npm install ${name}`);
  }
}

/** Tokens checked as the flags say, or else as the config does; in dev mode our own as well. */
function authentication(
  settings: ServeSettings,
  config: Config,
  devSecret: string | undefined,
): Authenticate | undefined {
  const secret = settings.secret ?? devSecret;
  // A token without the claim `rooms` reaches its personal room only; dev mode opens all.
  const rights = settings.dev ? { defaultRooms: ["**"] } : {};
  const ways: Authenticate[] = [];
  if (secret !== undefined) ways.push(checked(() => jwt({ secret, ...rights })));
  if (settings.jwks !== undefined) ways.push(jwksOf(settings.jwks, rights));
  if (settings.secret === undefined && settings.jwks === undefined && config.auth !== undefined) ways.push(config.auth);
  return ways.length === 0 ? undefined : firstOf(ways);
}

/** A file that cannot be read now is a mistake in the command; a server that cannot be reached may come back. */
function jwksOf(jwks: string, rights: { defaultRooms?: string[] }): Authenticate {
  if (jwks.startsWith("file:")) {
    try {
      JSON.parse(readFileSync(new URL(jwks), "utf8"));
    } catch (error) {
      throw new UsageError(`--jwks cannot be read: ${oneLine(error)}`);
    }
  }
  return checked(() => jwt({ jwks, ...rights }));
}

/** HS256 with fewer bits than its hash can be guessed by one who has seen a token (RFC 7518, section 3.2). */
export function weakSecretWarning({ secret, dev }: Pick<ServeSettings, "secret" | "dev">): string | undefined {
  if (secret === undefined || dev || Buffer.byteLength(secret) >= 32) return undefined;
  return "the secret is shorter than 32 bytes: whoever sees a token can guess it";
}

function checked(make: () => Authenticate): Authenticate {
  try {
    return make();
  } catch (error) {
    throw new UsageError(oneLine(error));
  }
}

/** The first way that knows the credentials. One that cannot tell now settles nothing for those after it. */
function firstOf(ways: readonly Authenticate[]): Authenticate {
  const [only] = ways;
  if (ways.length === 1 && only !== undefined) return only;
  return async (credentials, request) => {
    let failure: Error | undefined;
    for (const way of ways) {
      try {
        const identity = await way(credentials, request);
        if (identity !== undefined) return identity;
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error("credentials cannot be checked", { cause: error });
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  };
}
