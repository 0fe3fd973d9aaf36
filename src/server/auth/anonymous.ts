import { createHash } from "node:crypto";
import type { Identity, RoomRights } from "./identity.ts";

const minSecretCharacters = 22;
const maxSecretCharacters = 64;
/** 16 bytes are exactly 22 characters of base64url. */
const randomNameBytes = 16;
const nameCharacters = 22;

/**
 * The name of an anonymous user (P-18). `given` holds every value of the query's `anonymous`: with none the name is new,
 * with one it follows from that secret, so that a client comes back as the same user.
 *
 * `undefined` is bad credentials: a secret of another length, or two. A fresh name instead would hide the mistake from a
 * client that means to come back, and a short secret could be guessed by others.
 */
export function anonymousUser(
  given: readonly string[],
  randomBytes: (count: number) => Uint8Array,
): string | undefined {
  const [secret, second] = given;
  if (secret === undefined) return `~${Buffer.from(randomBytes(randomNameBytes)).toString("base64url")}`;
  if (second !== undefined || !isSecret(secret)) return undefined;
  return `~${createHash("sha256").update(secret).digest("base64url").slice(0, nameCharacters)}`;
}

/** Who a request without credentials is, by the `anonymous` of its query; `undefined`: bad credentials. */
export function anonymousIdentity(
  query: URLSearchParams,
  rooms: RoomRights | undefined,
  randomBytes: (count: number) => Uint8Array,
): Identity | undefined {
  const user = anonymousUser(query.getAll("anonymous"), randomBytes);
  return user === undefined ? undefined : { user, ...(rooms !== undefined && { rooms }) };
}

function isSecret(text: string): boolean {
  if (text.length < minSecretCharacters || text.length > 2 * maxSecretCharacters) return false;
  const characters = [...text].length;
  return characters >= minSecretCharacters && characters <= maxSecretCharacters;
}
