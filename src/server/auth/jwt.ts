import { createHmac } from "node:crypto";
import { isObject, type JsonObject } from "../../protocol/json.ts";
import { isUserName } from "../../protocol/names.ts";
import { identityOf, type ClaimRules } from "./claims.ts";
import type { Authenticate, Identity, RoomRights } from "./identity.ts";
import { publicKeyReader, secretReader, type ReadToken } from "./jwt-keys.ts";
import { keySetReader } from "./jwks.ts";

/** Exactly one of `secret`, `secrets`, `key` and `jwks` says what tokens are signed with. */
export interface JwtOptions {
  /** HS256. Any length is taken, but fewer than 32 random bytes can be guessed by one who has seen a token. */
  readonly secret?: string;
  /** HS256 while secrets are changed: a token signed with any of them is good. */
  readonly secrets?: readonly string[];
  /** Public keys or certificates in PEM. The key's kind decides on the algorithm: RS256, ES256, EdDSA and their kin. */
  readonly key?: string | readonly string[];
  /** Where a JSON Web Key Set is: `https:`, `http:` or `file:`. Read when first needed, then every ten minutes. */
  readonly jwks?: string | URL;
  /** The one `iss`, or several, that are good. Absent: not checked. */
  readonly issuer?: string | readonly string[];
  /** The one `aud`, or several, that are good. Absent: not checked. */
  readonly audience?: string | readonly string[];
  /** How far `nbf` may lie in the future. Default 1,000. `exp` gets no tolerance: the connection ends by it. */
  readonly clockToleranceMs?: number;
  /** The rights of a token without the claim `rooms`. Default `{}`: only the user's personal room. */
  readonly defaultRooms?: RoomRights;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Longer tokens are refused unread. A URL or header of this length would not get through Node either. */
const maxTokenCharacters = 16_384;

/**
 * Authenticates by JSON Web Tokens: `sub` is the user (P-13), `exp` is required, `nbf` is heeded, `iat` lets a revocation
 * tell old from new, and the claim `rooms` gives rights: a list of patterns, or an object of pattern to rights. Whatever
 * is wrong with a token gives `undefined`. Rejects only where a remote key set cannot be read.
 *
 * Nothing in a token's header but `alg` and `kid` is looked at; `jku`, `jwk`, `x5u` and `x5c` name no key here.
 *
 * Throws a TypeError where the options do not name exactly one kind of key, or name a bad one.
 */
export function jwt(options: JwtOptions): Authenticate {
  const now = options.now ?? Date.now;
  const rules: ClaimRules = {
    issuers: listOf(options.issuer),
    audiences: listOf(options.audience),
    clockToleranceMs: options.clockToleranceMs ?? 1_000,
    defaultRooms: options.defaultRooms ?? {},
  };
  const toIdentity = (claims: unknown): Identity | undefined =>
    isObject(claims) ? identityOf(claims, rules, now()) : undefined;
  const read = chooseReader(options, now);
  return ({ token }) => {
    if (token === "" || token.length > maxTokenCharacters) return undefined;
    const claims = read(token);
    return claims instanceof Promise ? claims.then(toIdentity) : toIdentity(claims);
  };
}

/** What a token is to say. */
export interface SignOptions {
  /** For HS256. */
  readonly secret: string;
  /** By P-13. */
  readonly user: string;
  /** The claim `rooms`. Absent: none, so that the verifier's default holds. */
  readonly rooms?: RoomRights;
  readonly expiresInMs: number;
  readonly issuer?: string;
  readonly audience?: string;
  /** Milliseconds since 1970; absent: now. */
  readonly now?: number;
}

/** Makes a token that `jwt({ secret })` takes. Throws a TypeError on a bad user, expiry or secret. */
export function signToken(options: SignOptions): string {
  const { secret, user, rooms, expiresInMs, issuer, audience, now = Date.now() } = options;
  if (secret === "") throw new TypeError("secret must not be empty");
  if (!isUserName(user)) throw new TypeError(`user must be a name of 1 to 254 bytes that does not begin with "~"`);
  if (!Number.isFinite(expiresInMs) || expiresInMs <= 0) {
    throw new TypeError(`expiresInMs must be a positive number, got ${expiresInMs}`);
  }
  // Fractions of a second are kept, so that a token made right after a revocation is younger than it.
  const claims = { sub: user, iat: now / 1000, exp: (now + expiresInMs) / 1000, rooms, iss: issuer, aud: audience };
  const signed = `${encodePart({ alg: "HS256", typ: "JWT" })}.${encodePart(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

function encodePart(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

function chooseReader(
  options: JwtOptions,
  now: () => number,
): ReadToken | ((token: string) => Promise<JsonObject | undefined>) {
  const { secret, secrets, key, jwks } = options;
  const given = Object.entries({ secret, secrets, key, jwks }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    const got = given.length === 0 ? "none" : given.map(([name]) => name).join(" and ");
    throw new TypeError(`jwt() needs exactly one of secret, secrets, key and jwks, got ${got}`);
  }
  if (jwks !== undefined) return keySetReader(jwks, now);
  if (key !== undefined) return publicKeyReader(listOf(key));
  return secretReader(secrets ?? listOf(secret));
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : value;
}
