import type { IncomingMessage, ServerResponse } from "node:http";

/** How long a browser may remember a preflight's answer. */
const preflightS = 600;

/**
 * Lets pages of allowed origins read the answer (P-80). Gives true where the request was a preflight, which is then
 * answered. Credentials in the browser's sense stay off: no call here looks at cookies.
 */
export function allowOrigin(
  request: IncomingMessage,
  response: ServerResponse,
  origins: readonly string[],
  methods: string,
): boolean {
  response.setHeader("vary", "origin");
  const origin = request.headers.origin;
  const preflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  // Only an origin that is on the list is written back, so nothing unknown ever gets into a header.
  const allowed = origins.includes("*") ? "*" : origins.find((known) => known === origin);
  if (origin !== undefined && allowed !== undefined) {
    response.setHeader("access-control-allow-origin", allowed);
    if (preflight) {
      response.setHeader("access-control-allow-methods", methods);
      response.setHeader("access-control-allow-headers", "authorization, content-type");
      response.setHeader("access-control-max-age", preflightS);
    }
  }
  if (preflight) response.writeHead(204).end();
  return preflight;
}
