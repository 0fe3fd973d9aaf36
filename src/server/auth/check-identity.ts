import { isName, isUserName, maxUserBytes } from "../../protocol/names.ts";
import type { Identity } from "./identity.ts";
import { readRights } from "./rights.ts";

/**
 * What an app's own `auth` answered, checked, because it goes on the wire and decides on rights: undefined for nobody
 * (null is taken as that) and for credentials that have ended. Throws a TypeError that names the field which is wrong.
 */
export function checkIdentity(
  answer: Identity | null | undefined,
  { nowMs, mayBeAnonymous }: { nowMs: number; mayBeAnonymous: boolean },
): Identity | undefined {
  if (answer === undefined || answer === null) return undefined;
  const { user, rooms, expiresAt, issuedAt } = answer;
  if (typeof user !== "string" || !(isUserName(user) || (mayBeAnonymous && isAnonymous(user)))) {
    throw new TypeError("auth: user must be a name of 1 to 254 bytes by P-13");
  }
  if (rooms !== undefined && readRights(rooms) === undefined) {
    throw new TypeError("auth: rooms must be a list of patterns, or an object of pattern to rights");
  }
  for (const [name, value] of Object.entries({ expiresAt, issuedAt })) {
    if (value !== undefined && !Number.isSafeInteger(value)) {
      throw new TypeError(`auth: ${name} must be whole milliseconds since 1970`);
    }
  }
  return expiresAt !== undefined && expiresAt <= nowMs ? undefined : answer;
}

/** A ticket may have been made for an anonymous user (P-18), whose names no token can have. */
function isAnonymous(user: string): boolean {
  return /^~[A-Za-z0-9_-]{22}$/.test(user) && isName(user, maxUserBytes);
}
