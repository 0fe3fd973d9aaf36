import type { IncomingMessage, ServerResponse } from "node:http";
import { originAllowed } from "../server/auth/origin.ts";

/** How long a browser may remember a preflight's answer. */
const preflightS = 600;

/**
 * Lets pages of allowed origins read the answer (P-80). Gives true where the request was a preflight, which is then
 * answered. Credentials in the browser's sense stay off: no call here looks at cookies.
 */
export function allowOrigin(
  request: IncomingMessage,
  response: ServerResponse,
  origins: readonly string[] | undefined,
  methods: string,
): boolean {
  response.setHeader("vary", "origin");
  const origin = request.headers.origin;
  const preflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  if (origin !== undefined && originAllowed(request, origins)) {
    response.setHeader("access-control-allow-origin", origins?.includes("*") === true ? "*" : origin);
    if (preflight) {
      response.setHeader("access-control-allow-methods", methods);
      response.setHeader("access-control-allow-headers", "authorization, content-type");
      response.setHeader("access-control-max-age", preflightS);
    }
  }
  if (preflight) response.writeHead(204).end();
  return preflight;
}
