import type { ErrorCode } from "../protocol/codes.ts";
import type { ErrorFrame, Issue } from "../protocol/frames.ts";

/**
 * What a client itself can say, beside the server's codes (P-60):
 * - `outcome_unknown`: sent, and no answer while a repeat was safe; the message may or may not be in the log
 * - `queue_full`: more waits than the limits allow; nothing was sent
 * - `too_big`: over the server's limit of bytes for a frame; nothing was sent
 * - `stopped`: the client was closed, or stopped; nothing was kept
 * - `left`: the room was left
 * - `user_changed`: the connection came back as another user; nothing was kept
 * - `timeout`: no answer in time
 * - `token_failed`: the app's token function threw or took too long; `cause` has what it threw
 * - `listener_failed`: a listener of the app threw; `cause` has what it threw
 */
export type ClientErrorCode =
  | "outcome_unknown"
  | "queue_full"
  | "too_big"
  | "stopped"
  | "left"
  | "user_changed"
  | "timeout"
  | "token_failed"
  | "listener_failed";

export interface ErrorFacts {
  readonly room?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly issues?: readonly Issue[] | undefined;
  readonly cause?: unknown;
}

/** Everything that a client reports or rejects with. Programs look at `code`; `message` is for people. */
export class FanfareError extends Error {
  override readonly name = "FanfareError";
  /** The server's code, the client's own, or one from a newer server that this client does not know. */
  readonly code: ErrorCode | ClientErrorCode;
  readonly room: string | undefined;
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** What the schema found, for `invalid_data`. */
  readonly issues: readonly Issue[];

  constructor(code: ErrorCode | ClientErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.room = facts.room;
    this.retryAfterMs = facts.retryAfterMs;
    this.issues = facts.issues ?? [];
  }
}

/** The error that an `error` frame tells. Fields of a wrong type are left out. */
export function errorOf(frame: ErrorFrame): FanfareError {
  const { code, message, room, retry_after_ms, issues } = frame;
  return new FanfareError(code, `${message ?? code}`, {
    room,
    retryAfterMs: hintOf(retry_after_ms) || undefined,
    issues: Array.isArray(issues) ? issues : [],
  });
}

/** A server's `retry_after_ms` as far as it is one; 0 otherwise. */
export function hintOf(value: unknown): number {
  return typeof value === "number" && value > 0 ? value : 0;
}
