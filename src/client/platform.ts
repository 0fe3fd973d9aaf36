/** What the client needs of a WebSocket: the browser's, Node's own and that of the package `ws` all fit. */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number): void;
  /** Only the package `ws` has it: ends a dead connection without waiting for the other side's close. */
  terminate?(): void;
}

/** A class of them, as the global `WebSocket` is. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** Every duration of the client, in milliseconds. */
export interface ClientTiming {
  /** From the start of an attempt, the token included, to `welcome`. Default 15,000. */
  readonly connectMs: number;
  /** Backoff with full jitter: the nth retry in a row waits a random part of `backoffMs` doubled n times. Default 1,000. */
  readonly backoffMs: number;
  /** The longest such part. Default 30,000. */
  readonly maxBackoffMs: number;
  /** After a close that asks for patience (P-61), at least this and at most twice. Default 30,000. */
  readonly waitMs: number;
  /** After a server that goes away without telling for how long, a random part of this. Default 5,000. */
  readonly spreadMs: number;
  /** A connection that lived this long resets the backoff. Default 5,000. */
  readonly minUptimeMs: number;
  /** No answer for this long, asked after the page came back or the network changed: dead. Default 5,000. */
  readonly probeMs: number;
  /** The longest that a server's hint can make the client wait. Default 300,000. */
  readonly maxHintMs: number;
  /** A page of history is waited for this long. Default 30,000. */
  readonly requestMs: number;
}

/** Every bound of the client. */
export interface ClientLimits {
  /** Publishes and pages of history that wait, sent or not; one more is `queue_full`. Default 1,000. */
  readonly queued: number;
  /** Their size in bytes of UTF-8; one that goes beyond it is `queue_full`. Default 1,048,576. */
  readonly queuedBytes: number;
  /**
   * Publishes of one room that are on their way unanswered. Default 1: their order holds whatever fails. With more, a
   * long line is faster, and a publish that the server could not keep at once (`unavailable`) may be overtaken by those
   * that were already on their way behind it.
   */
  readonly inFlight: number;
}

/**
 * What the platform tells: the network is `up` or `down`; the page is seen again (`look`), also when it comes out of the
 * page cache; the page goes into that cache (`freeze`).
 */
export type PlatformNews = "up" | "down" | "look" | "freeze";

/** The world, as far as a client touches it. Functions, not methods: they are called without `this`. */
export interface Platform {
  /** Milliseconds from any start. Never goes back, and counts the time that a machine slept. */
  now(): number;
  /** From 0 up to but not 1. */
  random(): number;
  /** 22 to 64 characters with 128 random bits, for keys and the names of anonymous users. */
  randomKey(): string;
  setTimer(run: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
  /** Calls the listener with `up` or `down` at once, and with all news until undone. */
  watch(listener: (news: PlatformNews) => void): () => void;
}

export const defaultTiming: ClientTiming = {
  connectMs: 15_000,
  backoffMs: 1_000,
  maxBackoffMs: 30_000,
  waitMs: 30_000,
  spreadMs: 5_000,
  minUptimeMs: 5_000,
  probeMs: 5_000,
  maxHintMs: 300_000,
  requestMs: 30_000,
};

export const defaultLimits: ClientLimits = {
  queued: 1_000,
  queuedBytes: 1_048_576,
  inFlight: 1,
};
