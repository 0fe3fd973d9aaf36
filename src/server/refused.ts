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
