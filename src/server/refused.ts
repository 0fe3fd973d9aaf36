import { encodeFrame } from "../protocol/encode.ts";
import type { ErrorCode } from "../protocol/codes.ts";
import type { Issue } from "../protocol/frames.ts";

/**
 * A request that is not granted. Handlers throw it to refuse; the peer is told its code, message and issues (P-60), so
 * the message must hold nothing that the peer may not see.
 */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: ErrorCode;
  readonly issues: Issue[] | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: { issues?: Issue[]; retryAfterMs?: number } = {}) {
    super(message);
    this.code = code;
    this.issues = details.issues;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** P-3: `re` where the request had an id; `room` where it named one. */
export function errorFrame(refused: Refused, frame: { id?: string | undefined; room?: string }): string {
  return encodeFrame({
    type: "error",
    ...(frame.id !== undefined && { re: frame.id }),
    ...(frame.room !== undefined && { room: frame.room }),
    code: refused.code,
    message: refused.message,
    ...(refused.retryAfterMs !== undefined && { retry_after_ms: refused.retryAfterMs }),
    ...(refused.issues !== undefined && { issues: refused.issues }),
  });
}
