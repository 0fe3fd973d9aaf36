import type { ErrorCode } from "../protocol/codes.ts";
import type { ErrorFrame } from "../protocol/frames.ts";

/**
 * What a client itself can say, beside the server's codes (P-60):
 * - `outcome_unknown`: sent, and no answer while a repeat was safe; the message may or may not be in the log
 * - `queue_full`: more waits than the limits allow; nothing was sent
 * - `too_big`: over the server's limit of bytes for a frame; nothing was sent
 * - `stopped`: the client was closed, or stopped; nothing was kept
 * - `left`: the room was left
 * - `user_changed`: the connection came back as another user; nothing was kept
 * - `timeout`: no answer in time
 * - `token_failed`: the app's token function threw or gave no string, or the WebSocket could not be made; `cause` tells
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

/** One fault that a schema found, by the server or by this client. */
export interface Fault {
  readonly message: string;
  /** Keys from the data's root; libraries differ in how they write one. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export interface ErrorFacts {
  /** Absent: the code. */
  readonly message?: string | undefined;
  readonly room?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly issues?: readonly Fault[] | undefined;
  readonly cause?: unknown;
}

/** Everything that a client reports or rejects with. Programs look at `code`; `message` is for people. */
export class FanfareError extends Error {
  /** The server's code, the client's own, or one from a newer server that this client does not know. */
  declare readonly code: ErrorCode | ClientErrorCode;
  declare readonly room: string | undefined;
  /** How long the server asked to wait, in milliseconds. */
  declare readonly retryAfterMs: number | undefined;
  /** What the schema found, for `invalid_data`. */
  declare readonly issues: readonly Fault[];

  constructor(code: ErrorCode | ClientErrorCode, facts: ErrorFacts = {}) {
    const { message = code, room, retryAfterMs, issues = [], cause } = facts;
    super(message, { cause });
    Object.assign(this, { name: "FanfareError", code, room, retryAfterMs, issues });
  }
}

/** The error that an `error` frame tells. */
export function errorOf({ code, message, room, retry_after_ms, issues }: ErrorFrame): FanfareError {
  return new FanfareError(code, { message, room, retryAfterMs: retry_after_ms, issues });
}
