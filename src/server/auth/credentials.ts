import type { IncomingMessage } from "node:http";
import { headerValues, listItems } from "../headers.ts";
import { readCookie } from "./cookies.ts";
import type { CredentialKind, Credentials } from "./identity.ts";
import { cookieCounts } from "./origin.ts";

/** P-2: a subprotocol that begins so is a credential, and is never selected. */
const tokenProtocolPrefix = "fanfare.token.";

/** The names in a query that are the hub's own (P-11, P-18). */
export const hubNames: readonly string[] = ["ticket", "token", "anonymous"];

export interface CredentialOptions {
  /** The cookie that holds a token; absent: none counts. */
  readonly cookie?: string | undefined;
  /** As for `originAllowed`: whose cookies count. */
  readonly origins?: readonly string[] | undefined;
}

/**
 * The credentials of a request (P-11): the first kind present decides alone; `undefined` where there is none. A kind that
 * is there but empty, or there twice, gives an empty token, which is bad and hides the kinds after it.
 */
export function findCredentials(
  request: Pick<IncomingMessage, "headers" | "rawHeaders">,
  query: URLSearchParams,
  options: CredentialOptions,
): Credentials | undefined {
  return (
    only("ticket", query.getAll("ticket")) ??
    only("bearer", bearerTokens(request)) ??
    only("subprotocol", protocolTokens(request)) ??
    only("query", query.getAll("token")) ??
    only("cookie", cookieTokens(request, options))
  );
}

/** The query of a request's target; empty where there is none. */
export function queryOf(target: string | undefined): URLSearchParams {
  const mark = target?.indexOf("?") ?? -1;
  return new URLSearchParams(mark === -1 ? "" : target?.slice(mark));
}

function only(kind: CredentialKind, tokens: readonly string[]): Credentials | undefined {
  const [first, second] = tokens;
  if (first === undefined) return undefined;
  return { kind, token: second === undefined ? first : "" };
}

/** From the raw headers: of two Authorization headers Node shows the first alone. Other schemes are no credentials. */
function bearerTokens(request: Pick<IncomingMessage, "headers" | "rawHeaders">): string[] {
  if (request.headers.authorization === undefined) return [];
  return headerValues(request.rawHeaders, "authorization").flatMap((value) => {
    const [scheme, token = ""] = value.trim().split(/ +(.*)/s, 2);
    return scheme?.toLowerCase() === "bearer" ? [token] : [];
  });
}

function protocolTokens(request: Pick<IncomingMessage, "headers">): string[] {
  const offered = request.headers["sec-websocket-protocol"];
  if (offered === undefined || !offered.includes(tokenProtocolPrefix)) return [];
  return listItems(offered)
    .filter((item) => item.startsWith(tokenProtocolPrefix))
    .map((item) => item.slice(tokenProtocolPrefix.length));
}

function cookieTokens(request: Pick<IncomingMessage, "headers">, options: CredentialOptions): string[] {
  if (options.cookie === undefined || !cookieCounts(request, options.origins)) return [];
  const value = readCookie(request.headers.cookie, options.cookie);
  return value === undefined ? [] : [value];
}
