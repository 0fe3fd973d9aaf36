import { type NatsOptions, optionsOfUrl } from "../backends/nats/options.ts";
import { parseUrl } from "../backends/redis/options.ts";
import { type Given, one, readText, UsageError } from "./flags.ts";
import { oneLine } from "./io.ts";

/** Where messages are kept, as it is said in one word or URL. */
export type BackendSetting =
  | { readonly kind: "memory" }
  | { readonly kind: "lmdb"; readonly directory: string }
  | { readonly kind: "redis"; readonly url: string; readonly prefix: string | undefined }
  | { readonly kind: "nats"; readonly options: NatsOptions };

/** Throws a UsageError. What is wrong with a URL is told without it, since it may hold a password. */
export function readBackend(text: string, source: string): BackendSetting {
  if (text === "memory") return { kind: "memory" };
  const directory = /^lmdb:(.+)$/s.exec(text)?.[1];
  if (directory !== undefined) return { kind: "lmdb", directory };
  if (/^redis(s|\+sentinel)?:/.test(text)) return readRedis(text, source);
  if (/^nats(\+core)?(\+tls)?:/.test(text)) return readNats(text, source);
  throw new UsageError(`${source} wants memory, lmdb:DIR, a redis:// or a nats:// URL, got ${JSON.stringify(text)}`);
}

function readNats(url: string, source: string): BackendSetting {
  try {
    return { kind: "nats", options: optionsOfUrl(url) };
  } catch (error) {
    throw new UsageError(`${source}: ${oneLine(error)}`);
  }
}

function readRedis(url: string, source: string): BackendSetting {
  try {
    parseUrl(url);
    return { kind: "redis", url, prefix: undefined };
  } catch (error) {
    throw new UsageError(`${source}: ${oneLine(error)}`);
  }
}

/** What `--redis-prefix` adds to it; throws a UsageError where that cannot be. */
export function withPrefix(backend: BackendSetting | undefined, given: Given | undefined): BackendSetting | undefined {
  const prefix = one(given, readText);
  if (prefix === undefined) return backend;
  if (backend?.kind !== "redis") throw new UsageError(`${given?.source} is for --backend redis://…`);
  if (/[{}]/.test(prefix)) throw new UsageError(`${given?.source} must not contain { or }`);
  return { ...backend, prefix };
}
