import type { IncomingMessage, ServerResponse } from "node:http";
import { errorBody, HttpError } from "./errors.ts";

/** Answers a request, or gives false where it is not its own. Once true was promised, the response has been ended. */
export type Operation = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

/** An answer before it is sent, by node:http or as a fetch Response. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text; undefined: no body. */
  readonly body: string | undefined;
}

/** No answer may be stored or guessed at by what it looks like: it can hold a ticket, or what members wrote. */
const always: Readonly<Record<string, string>> = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

export function jsonAnswer(status: number, value: unknown): Answer {
  return textAnswer(status, JSON.stringify(value));
}

/** `body` is JSON text. */
export function textAnswer(status: number, body: string): Answer {
  return { status, headers: { "content-type": "application/json; charset=utf-8", ...always }, body };
}

export function emptyAnswer(status: number, headers: Answer["headers"] = {}): Answer {
  return { status, headers: { ...always, ...headers }, body: undefined };
}

/** The shape of P-80. */
export function errorAnswer(error: HttpError): Answer {
  const answer = jsonAnswer(error.status, { error: errorBody(error) });
  return { ...answer, headers: { ...answer.headers, ...error.headers } };
}

export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length });
  const content = response.req.method === "HEAD" ? undefined : body;
  if (response.shouldKeepAlive || isRead(response.req)) response.end(content);
  else endAfterBody(response, content);
}

function isRead({ complete, headers }: IncomingMessage): boolean {
  return complete || (headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0);
}

/** How long a peer that is already answered may go on sending its body. */
const lingerMs = 5_000;

/**
 * Where the connection ends with this answer, Node would close the socket with the rest of the body unread. That resets
 * it, and a peer that is still sending loses the answer. So the rest is read and dropped first, for a while.
 */
function endAfterBody(response: ServerResponse, content: string | undefined): void {
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, lingerMs).unref();
  response.flushHeaders();
  if (content !== undefined) response.write(content);
  response.req.on("end", end).on("error", end).on("close", end).resume();
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, jsonAnswer(status, value));
}

/** Throws a 405 that names the methods allowed. */
export function requireMethod(request: IncomingMessage, ...methods: readonly string[]): void {
  if (!methods.includes(request.method ?? "")) throw methodNotAllowed(methods);
}

export function notFound(): HttpError {
  return new HttpError(404, "not_found", "nothing is at this address");
}

export function methodNotAllowed(methods: readonly string[]): HttpError {
  const allow = methods.join(", ");
  return new HttpError(405, "method_not_allowed", `this address takes ${allow}`, { allow });
}
