import { isUserName } from "../../protocol/names.ts";
import type { JsonObject } from "../../protocol/json.ts";
import type { Identity, RoomRights } from "./identity.ts";
import { readRights } from "./rights.ts";

/** What a token's claims are held against. Libraries check signatures only: the rules here are the same for all keys. */
export interface ClaimRules {
  /** Good values of `iss`; empty: not checked. */
  readonly issuers: readonly string[];
  /** One of these must be in `aud`; empty: not checked. */
  readonly audiences: readonly string[];
  /** How far ahead of ours the issuer's clock may be. */
  readonly clockToleranceMs: number;
  /** The rights of a token without the claim `rooms`. */
  readonly defaultRooms: RoomRights;
}

/** Who a token's claims speak of (P-13); `undefined`: they are no good now. `nowMs` is milliseconds since 1970. */
export function identityOf(claims: JsonObject, rules: ClaimRules, nowMs: number): Identity | undefined {
  const user = claims["sub"];
  if (typeof user !== "string" || !isUserName(user)) return undefined;
  if (!isFrom(claims, rules.issuers) || !isFor(claims, rules.audiences)) return undefined;
  const expiresAt = instant(claims["exp"]);
  // No tolerance here: `expires_at` is told to the client and ends the connection (P-17), so it has to be exact.
  if (expiresAt === undefined || expiresAt <= nowMs) return undefined;
  const notBefore = optionalInstant(claims["nbf"], 0);
  if (notBefore === undefined || notBefore > nowMs + rules.clockToleranceMs) return undefined;
  const rooms = claims["rooms"] === undefined ? rules.defaultRooms : readRights(claims["rooms"]);
  if (rooms === undefined) return undefined;
  if (claims["iat"] === undefined) return { user, rooms, expiresAt };
  const issuedAt = instant(claims["iat"]);
  return issuedAt === undefined ? undefined : { user, rooms, expiresAt, issuedAt };
}

/** A claim in seconds as whole milliseconds; `undefined` for anything but a number that stays exact. */
function instant(seconds: unknown): number | undefined {
  if (typeof seconds !== "number") return undefined;
  const ms = Math.round(seconds * 1000);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

function optionalInstant(seconds: unknown, absent: number): number | undefined {
  return seconds === undefined ? absent : instant(seconds);
}

function isFrom(claims: JsonObject, issuers: readonly string[]): boolean {
  const issuer = claims["iss"];
  return issuers.length === 0 || (typeof issuer === "string" && issuers.includes(issuer));
}

function isFor(claims: JsonObject, audiences: readonly string[]): boolean {
  if (audiences.length === 0) return true;
  const given = claims["aud"];
  const list = Array.isArray(given) ? given : [given];
  return list.some((audience) => typeof audience === "string" && audiences.includes(audience));
}
