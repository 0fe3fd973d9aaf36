import { createHash } from "node:crypto";

/**
 * The keys of the one ordered map that holds everything. The first byte is the kind; numbers are big-endian, so that the
 * map's order is theirs. Rooms go by a number that is never used again: names are too long for a key of two parts, and
 * what a forgotten room left behind can never be taken for its next life's.
 *
 * | kind | rest | value |
 * | --- | --- | --- |
 * | meta | name | layout stamp, next room number, last check |
 * | room | name | number, epoch, head when it was empty, keep |
 * | entry | room number, offset | a message |
 * | key | room number, hash | what a publish with a key left |
 * | keyExpiry | time, room number, hash | nothing |
 * | fact | name | value and expiry |
 * | factExpiry | time, name | nothing |
 * | grave | room number | nothing: entries and keys of this room are still to be removed |
 */
const kinds = { meta: 1, room: 2, entry: 3, key: 4, keyExpiry: 5, fact: 6, factExpiry: 7, grave: 8 } as const;

/** Changes whenever what is written below changes its meaning. */
export const layoutStamp = "fanfare log, layout 1";

const roomBytes = 6;
const offsetBytes = 6;
const timeBytes = 6;
/** Enough that two never meet by chance, short enough for a key. */
const hashBytes = 16;
/** The largest number that six bytes hold: offsets and times stay far below it. */
const largest = 2 ** 48 - 1;

export interface KeyRange {
  readonly start: Buffer;
  /** Not included. */
  readonly end: Buffer;
}

export const metaKey = (name: "layout" | "nextRoom" | "check"): Buffer => Buffer.from(`\u0001${name}`);

export const roomKey = (name: string): Buffer => Buffer.from(`\u0002${name}`);
export const roomNameOf = (key: Buffer): string => key.toString("utf8", 1);
/** All rooms whose names come after this one. */
export const roomsAfter = (name: string): KeyRange => ({
  start: Buffer.from(`\u0002${name}\u0000`),
  end: Buffer.of(3),
});

export function entryKey(room: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(1 + roomBytes + offsetBytes);
  key[0] = kinds.entry;
  key.writeUIntBE(room, 1, roomBytes);
  key.writeUIntBE(Math.min(offset, largest), 1 + roomBytes, offsetBytes);
  return key;
}
export const offsetOf = (key: Buffer): number => key.readUIntBE(1 + roomBytes, offsetBytes);
/** The entries from `first` to `last`, both included. */
export const entries = (room: number, first: number, last: number): KeyRange => ({
  start: entryKey(room, first),
  end: entryKey(room, last + 1),
});

export const keyKey = (room: number, hash: Buffer): Buffer => Buffer.concat([numbered(kinds.key, room), hash]);
export const keysOf = (room: number): KeyRange => ({
  start: numbered(kinds.key, room),
  end: numbered(kinds.key, room + 1),
});

/** `at` is the key's own place, by `keyKey`. */
export const keyExpiryKey = (until: number, at: Buffer): Buffer =>
  Buffer.concat([numbered(kinds.keyExpiry, until), at.subarray(1)]);
export const keyOfExpiry = (expiry: Buffer): Buffer =>
  Buffer.concat([Buffer.of(kinds.key), expiry.subarray(1 + timeBytes)]);
export const keysExpiredAt = (now: number): KeyRange => expiredAt(kinds.keyExpiry, now);

export const factKey = (name: string): Buffer => Buffer.from(`\u0006${name}`);
export const factNameOf = (key: Buffer): string => key.toString("utf8", 1);
export const facts: KeyRange = { start: Buffer.of(kinds.fact), end: Buffer.of(kinds.fact + 1) };
export const factExpiryKey = (until: number, name: string): Buffer =>
  Buffer.concat([numbered(kinds.factExpiry, until), Buffer.from(name)]);
export const nameOfFactExpiry = (expiry: Buffer): string => expiry.toString("utf8", 1 + timeBytes);
export const factsExpiredAt = (now: number): KeyRange => expiredAt(kinds.factExpiry, now);

export const graveKey = (room: number): Buffer => numbered(kinds.grave, room);
export const roomOfGrave = (key: Buffer): number => key.readUIntBE(1, roomBytes);
export const graves: KeyRange = { start: Buffer.of(kinds.grave), end: Buffer.of(kinds.grave + 1) };

export function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest().subarray(0, hashBytes);
}

/** A time that a key can hold: expiries beyond the year 10,000 are as good as never. */
export const clampTime = (ms: number): number => Math.min(Math.max(Math.ceil(ms), 0), largest);

const expiredAt = (kind: number, now: number): KeyRange => ({
  start: Buffer.of(kind),
  end: numbered(kind, clampTime(now) + 1),
});

function numbered(kind: number, number: number): Buffer {
  const key = Buffer.allocUnsafe(1 + roomBytes);
  key[0] = kind;
  key.writeUIntBE(Math.min(number, largest), 1, roomBytes);
  return key;
}
