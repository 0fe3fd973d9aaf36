import type { Backend } from "../backends/backend.ts";
import type { Contract, Keep } from "../protocol/contract.ts";
import { defaults } from "../protocol/limits.ts";
import type { Authenticate, RoomRights } from "./auth/identity.ts";
import type { Rates } from "./rates.ts";
import type { Tracing } from "./tracing.ts";

/** Every bound of a hub. Names end in their unit; counts have none. */
export interface Limits {
  /** P-62: the largest frame from a client. */
  readonly messageBytes: number;
  /** P-27: rooms that one connection can be in. */
  readonly rooms: number;
  /** P-63: requests of one connection, with a burst of two seconds' worth. */
  readonly requestsPerS: number;
  /** P-31: at least 300,000. */
  readonly dedupeMs: number;
  readonly connections: number;
  readonly connectionsPerUser: number;
  readonly connectionsPerAddress: number;
  /** What may wait for one reader; beyond it the connection is closed with 4200. At least twice `messageBytes`. */
  readonly outboxBytes: number;
  /** P-14: for the first `auth`. */
  readonly authWithinMs: number;
  /** P-50. */
  readonly pingMs: number;
  /** P-41. */
  readonly graceMs: number;
  /** P-43: rooms with more members send counts only. */
  readonly presenceMembers: number;
  /** Requests of one connection that wait for handlers or the log; one more is `rate_limited`. */
  readonly pendingRequests: number;
  /** For each of the app's room handlers; the request of one that takes longer fails with `internal`. */
  readonly handlerMs: number;
}

/** The limits where nothing else is said. */
export const defaultLimits: Limits = {
  messageBytes: 65_536,
  rooms: 100,
  requestsPerS: 50,
  dedupeMs: defaults.dedupeMs,
  connections: 20_000,
  connectionsPerUser: 100,
  connectionsPerAddress: 10_000,
  outboxBytes: 1_048_576,
  authWithinMs: defaults.authWithinMs,
  pingMs: defaults.pingMs,
  graceMs: defaults.graceMs,
  presenceMembers: 200,
  pendingRequests: 1_000,
  handlerMs: 30_000,
};

/** What is kept where a room's spec says nothing else. */
export const defaultKeep: Keep = { messages: 1_000, ms: 86_400_000 };

/** What to do where more is promised than the backend gives. */
export const aBackendWithLog: string = "choose a backend that keeps one (memory, lmdb, redis, nats with JetStream)";

/** A logger as pino's: facts first, then a sentence. Texts from outside are escaped by the hub before they get here. */
export interface Logger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** What `createHub` takes. All of it may be left out. */
export interface HubOptions<C extends Contract = Contract> {
  /** The rooms. Absent: every room and event, unchecked. */
  readonly rooms?: C;
  /** Absent: `memory()`. */
  readonly backend?: Backend;
  /** Who credentials belong to, e.g. `jwt({ secret })`. Absent: all credentials are bad. */
  readonly auth?: Authenticate;
  /** Whether a connection without credentials is let in, as a user of its own (P-18). */
  readonly anonymous?: boolean;
  /** What anonymous users may do. Absent: every room that the contract and handlers allow. */
  readonly anonymousRooms?: RoomRights;
  /** The cookie that holds a token (P-11). Absent: no cookie counts. */
  readonly cookie?: string;
  /** Origins let in, e.g. `https://app.example.com`; `*` for all. Absent: the server's own host (P-15). */
  readonly origins?: readonly string[];
  readonly keep?: Partial<Keep>;
  readonly limits?: Partial<Limits>;
  /** Rates that connections share, by user, address and room. Absent: none. */
  readonly rates?: Rates;
  /** The socket's path; `false`: this protocol is not served, only the app's own endpoints are. Default `/ws`. */
  readonly path?: string | false;
  /** The path of streams over SSE (P-70); `false`: there are none. Default `/sse`. */
  readonly ssePath?: string | false;
  /**
   * Proxies whose `X-Forwarded-For` is believed: addresses and ranges, e.g. `127.0.0.1` or `10.0.0.0/8`. Absent: none, and
   * a client's address is that of its socket.
   */
  readonly trustedProxies?: readonly string[];
  /** Offer permessage-deflate. Default false: it costs about five times the CPU and ten times the memory. */
  readonly deflate?: boolean;
  readonly logger?: Logger;
  /** Spans of what the hub does: `openTelemetry()` of `fanfare/opentelemetry`. Absent: none, at no cost. */
  readonly tracing?: Tracing;
}

/**
 * How long messages are kept where a room's spec says nothing else; undefined: the backend keeps none. Throws a TypeError
 * where that was asked for all the same.
 */
export function resolveKeep(given: Partial<Keep> | undefined, { name, promises }: Backend): Keep | undefined {
  if (promises.log) return { ...defaultKeep, ...given };
  if (Object.values(given ?? {}).every((value) => value === undefined)) return undefined;
  throw new TypeError(`keep is given, and the backend ${name} keeps no log: leave it out, or ${aBackendWithLog}`);
}

/** What a message is longer by when it is kept or passed on than as it came: its room, sender, key and time. */
const addedBytes = 4_096;

/** Throws a RangeError where messages may be larger than the backend, which is open, takes. */
export function checkLargest({ messageBytes }: Limits, { name, largest }: Backend): void {
  if (largest === undefined || messageBytes + addedBytes <= largest.bytes) return;
  const most = Math.max(0, largest.bytes - addedBytes);
  throw new RangeError(
    `limit messageBytes is ${messageBytes}, and the backend ${name} takes ${most} bytes at most: lower it, or ${largest.remedy}`,
  );
}

/** A timer of Node takes no more milliseconds than this; no count or size needs more. */
const maxLimit = 2 ** 31 - 1;

/** Throws a RangeError naming the limit that is not a positive integer, or the rule that it breaks. */
export function resolveLimits(given: Partial<Limits> = {}): Limits {
  const messageBytes = given.messageBytes ?? defaultLimits.messageBytes;
  const outboxBytes = Math.max(defaultLimits.outboxBytes, 2 * messageBytes);
  const limits = { ...defaultLimits, outboxBytes, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!(name in defaultLimits))
      throw new RangeError(`unknown limit ${name}; known: ${Object.keys(defaultLimits).join(", ")}`);
    const least = name === "graceMs" ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < least || value > maxLimit)
      throw new RangeError(`limit ${name} must be an integer from ${least} to ${maxLimit}, got ${value}`);
  }
  if (limits.outboxBytes < 2 * limits.messageBytes) {
    throw new RangeError(
      `limit outboxBytes must be at least twice messageBytes (${limits.messageBytes}), got ${limits.outboxBytes}`,
    );
  }
  if (limits.dedupeMs < defaults.dedupeMs) {
    throw new RangeError(`limit dedupeMs must be at least ${defaults.dedupeMs} (P-31), got ${limits.dedupeMs}`);
  }
  return limits;
}
