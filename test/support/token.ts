import { createHmac } from "node:crypto";

/** A secret of the length that HS256 asks for. */
export const testSecret = "a-secret-for-tests-of-32-bytes-and-more";

export interface TokenClaims {
  sub?: unknown;
  exp?: unknown;
  iat?: unknown;
  nbf?: unknown;
  rooms?: unknown;
  [claim: string]: unknown;
}

/**
 * A JWT signed with HS256, made here by hand so that it judges the server's own check. `expires_in_ms` becomes `exp`
 * (whole seconds, rounded up); without it and without `exp` the token lives for an hour.
 */
export function makeToken(
  claims: TokenClaims & { expires_in_ms?: number },
  options: { secret?: string; header?: Record<string, unknown>; now?: number } = {},
): string {
  const { expires_in_ms: expiresInMs = 3_600_000, ...rest } = claims;
  const nowMs = options.now ?? Date.now();
  const exp = Math.ceil((nowMs + expiresInMs) / 1000);
  const payload = { iat: Math.floor(nowMs / 1000), ...("exp" in rest ? {} : { exp }), ...rest };
  return signToken({ alg: "HS256", typ: "JWT", ...options.header }, JSON.stringify(payload), options.secret);
}

/** As `makeToken`, with the payload as text: for claims that JSON.stringify would not write, such as `1e400`. */
export function signToken(header: Record<string, unknown>, payload: string, secret: string = testSecret): string {
  const body = `${base64Url(JSON.stringify(header))}.${base64Url(payload)}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

/** A token that says of itself that it needs no signature. */
export function unsignedToken(claims: TokenClaims): string {
  return `${base64Url(JSON.stringify({ alg: "none", typ: "JWT" }))}.${base64Url(JSON.stringify(claims))}.`;
}

function base64Url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
