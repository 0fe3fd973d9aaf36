import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorCode } from "../../protocol/codes.ts";
import { cookieCounts } from "../auth/origin.ts";
import type { Refused } from "../refused.ts";

/** How long a browser may remember a preflight's answer. */
const preflightS = "600";

/** A stream that is refused for good, told by a status (P-73). Its message never repeats what came in. */
export class Denied extends Error {
  readonly status: number;
  readonly code: ErrorCode | "method_not_allowed";
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: Denied["code"], message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Codes of refusals that pass by themselves: a browser that got a status for them would never come back (P-73). */
const passing: readonly ErrorCode[] = ["unavailable", "rate_limited", "internal"];
const statuses: Partial<Record<ErrorCode, number>> = {
  bad_field: 400,
  too_many_rooms: 400,
  unauthorized: 401,
  unknown_room: 404,
};

/** The final answer for a refusal; undefined where it passes by itself. Any code of an app's own handler is a 403 (P-70). */
export function deniedFor(error: Refused): Denied | undefined {
  if (passing.includes(error.code)) return undefined;
  return new Denied(statuses[error.code] ?? 403, error.code, error.message);
}

/** The shape of P-80. */
export function sendDenied(response: ServerResponse, { status, code, message, headers }: Denied): void {
  const body = JSON.stringify({ error: { code, message } });
  response.writeHead(status, {
    ...headers,
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

/**
 * Lets a page of an allowed origin read the stream (P-80), with its cookies where those count. The origin must have been
 * found to be allowed.
 */
export function allowOrigin(
  request: IncomingMessage,
  response: ServerResponse,
  origins: readonly string[] | undefined,
): void {
  response.setHeader("vary", "origin");
  const { origin } = request.headers;
  if (origin === undefined) return;
  // One that `*` alone lets in could otherwise read as whoever its visitor is.
  const withCookies = cookieCounts(request, origins);
  response.setHeader("access-control-allow-origin", withCookies ? origin : "*");
  if (withCookies) response.setHeader("access-control-allow-credentials", "true");
}

export function isPreflight(request: IncomingMessage): boolean {
  return request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
}

/** For pages that read the stream with `fetch`, to send a header with it. */
export function answerPreflight(response: ServerResponse): void {
  response.writeHead(204, {
    "access-control-allow-methods": "GET",
    "access-control-allow-headers": "authorization, last-event-id, cache-control",
    "access-control-max-age": preflightS,
  });
  response.end();
}
