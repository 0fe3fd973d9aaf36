import type { ErrorCode } from "../protocol/codes.ts";
import type { Issue } from "../protocol/frames.ts";
import { errorFacts } from "../server/logging.ts";
import { BackendUnavailable, Refused } from "../server/index.ts";

/** What an answer may tell besides code and message (P-60). */
export interface ErrorDetails {
  readonly issues?: readonly Issue[] | undefined;
  readonly retry_after_ms?: number | undefined;
}

/** Codes for what only HTTP can do wrong. */
export type HttpCode = ErrorCode | "not_found" | "method_not_allowed" | "too_large" | "unsupported_media_type";

/** An answer that ends a call early. Its message is written by us and never repeats what came in. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: HttpCode;
  readonly headers: Readonly<Record<string, string>>;
  readonly details: ErrorDetails;

  constructor(
    status: number,
    code: HttpCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
    details: ErrorDetails = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.details = details;
  }
}

/** P-80: the status that fits. A room, event or data that the contract does not have is a fault of the request's content. */
const statuses: Readonly<Record<ErrorCode, number>> = {
  bad_frame: 400,
  unknown_type: 400,
  bad_field: 400,
  too_deep: 400,
  unauthorized: 401,
  forbidden: 403,
  unknown_room: 404,
  unknown_event: 422,
  invalid_data: 422,
  not_joined: 409,
  too_many_rooms: 409,
  rate_limited: 429,
  conflict: 409,
  unavailable: 503,
  internal: 500,
};

/** What is told to try again after where nothing else is known. */
const retryAfterMs = 1_000;

export function badField(message: string): HttpError {
  return new HttpError(400, "bad_field", message);
}

/** Any failure as an answer. What is no refusal is `internal`: its text is for the log alone, as `cause`. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof Refused) return refusal(error);
  if (error instanceof BackendUnavailable) return unavailable(error);
  return withCause(new HttpError(500, "internal", "something went wrong here"), error);
}

/** What cannot be told now is the caller's to try again (P-13, P-33). */
export function unavailable(cause: unknown): HttpError {
  const message = "this cannot be answered now; try again";
  return withCause(new HttpError(statuses.unavailable, "unavailable", message, retryAfter(retryAfterMs)), cause);
}

function refusal({ code, message, issues, retryAfterMs: told }: Refused): HttpError {
  const status = statuses[code];
  const headers = status === 429 || status === 503 ? retryAfter(told ?? retryAfterMs) : {};
  return new HttpError(status, code, message, headers, { issues, retry_after_ms: told });
}

/** In whole seconds, as HTTP has it; `retry_after_ms` in the body is exact. */
function retryAfter(ms: number): Record<string, string> {
  return { "retry-after": String(Math.max(1, Math.ceil(ms / 1_000))) };
}

function withCause(error: HttpError, cause: unknown): HttpError {
  error.cause = cause;
  return error;
}

/** The `error` of P-80. */
export function errorBody({ code, message, details }: HttpError): object {
  const { issues, retry_after_ms: retry } = details;
  return {
    code,
    message,
    ...(retry !== undefined && { retry_after_ms: retry }),
    ...(issues !== undefined && { issues }),
  };
}

/**
 * Tells the operator of what the caller cannot mend, and gives the answer, with the header `request-id` by which it is
 * found in the log. Names neither the address nor anything else that came in.
 */
export function logFailure(
  logger: FailureLogger | undefined,
  method: string | undefined,
  error: HttpError,
  newId: () => string,
): HttpError {
  if (error.status < 500) return error;
  const id = newId();
  const facts = { request: id, method, status: error.status, error: errorFacts(error.cause) };
  if (error.status === 503) logger?.warn(facts, "an HTTP call could not be answered");
  else logger?.error(facts, "an HTTP call failed");
  const { status, code, message, headers, details } = error;
  return withCause(new HttpError(status, code, message, { ...headers, "request-id": id }, details), error.cause);
}

export interface FailureLogger {
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
