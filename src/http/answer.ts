import type { IncomingMessage, ServerResponse } from "node:http";

/** Answers a request, or gives false where it is not its own. Once true was promised, the response has been ended. */
export type Operation = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

/** An answer that ends a call early. Its message is written by us and never repeats what came in. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

/** The shape of P-80. */
export function sendError(response: ServerResponse, error: HttpError): void {
  for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
  sendJson(response, error.status, { error: { code: error.code, message: error.message } });
}

/** Throws a 405 that names the methods allowed. */
export function requireMethod(request: IncomingMessage, ...methods: readonly string[]): void {
  if (methods.includes(request.method ?? "")) return;
  const allow = methods.join(", ");
  throw new HttpError(405, "method_not_allowed", `this address takes ${allow}`, { allow });
}

/** The path as it was sent, without the query and not decoded. */
export function pathOf(request: IncomingMessage): string {
  const url = request.url ?? "/";
  const end = url.indexOf("?");
  return end === -1 ? url : url.slice(0, end);
}
