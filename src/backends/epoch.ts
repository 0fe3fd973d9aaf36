import { randomBytes } from "node:crypto";

/** A name for one life of one room's log (P-4): 16 random characters of `A-Z a-z 0-9 _ -`, so that none comes twice. */
export function newEpoch(): string {
  return randomBytes(12).toString("base64url");
}

/**
 * How long a room that is empty and unused is remembered, in milliseconds. A member alone in a new room whose connection
 * breaks comes back to the same epoch; after that the room costs nothing.
 */
export const lingerMs = 60_000;
