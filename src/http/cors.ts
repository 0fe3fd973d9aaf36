import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { originAllowed } from "../server/auth/origin.ts";

/** How long a browser may remember a preflight's answer. */
const preflightS = "600";

/** What a request of a page is answered with, and whether it only asks for leave. */
export interface Cors {
  readonly headers: Readonly<Record<string, string>>;
  readonly isPreflight: boolean;
}

/**
 * Lets pages of allowed origins read the answer (P-80). Credentials in the browser's sense stay off: no call here looks
 * at cookies. `methods` are what the address takes.
 */
export function corsOf(
  request: { readonly method?: string | undefined; readonly headers: IncomingHttpHeaders },
  origins: readonly string[] | undefined,
  methods: string,
): Cors {
  const { origin } = request.headers;
  const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  if (origin === undefined || !originAllowed(request, origins)) return { headers: { vary: "origin" }, isPreflight };
  const headers = {
    vary: "origin",
    "access-control-allow-origin": origins?.includes("*") === true ? "*" : origin,
    "access-control-expose-headers": "retry-after, request-id",
  };
  const granted = {
    "access-control-allow-methods": methods,
    "access-control-allow-headers": "authorization, content-type, idempotency-key",
    "access-control-max-age": preflightS,
  };
  return { headers: isPreflight ? { ...headers, ...granted } : headers, isPreflight };
}

/** For an operation on node:http. Gives true where the request was a preflight, which is then answered. */
export function allowOrigin(
  request: IncomingMessage,
  response: ServerResponse,
  origins: readonly string[] | undefined,
  methods: string,
): boolean {
  const { headers, isPreflight } = corsOf(request, origins, methods);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (isPreflight) response.writeHead(204).end();
  return isPreflight;
}
