import { isPersonalRoom, isReservedRoom, personalRoom } from "../../protocol/names.ts";
import { isObject } from "../../protocol/json.ts";
import { rights } from "../../protocol/frames.ts";
import type { Identity, RoomRight, RoomRights } from "./identity.ts";

/** More patterns than this are refused, so that one look at a room stays cheap. */
export const maxRoomPatterns = 1_000;
/** A longer pattern is refused: no room's name is longer (P-20), and wildcards need little more. */
export const maxPatternCharacters = 512;

const roomRights: readonly RoomRight[] = ["join", ...rights];
const everything: ReadonlySet<RoomRight> = new Set(roomRights);
const nothing: ReadonlySet<RoomRight> = new Set();
/** P-20: only the server and API keys publish in a personal room. */
const ownPersonalRoom: ReadonlySet<RoomRight> = new Set(["join", "presence", "history"]);

/**
 * What the identity may do in a room. Rights are listed each for itself: one who has `publish` without `join` cannot
 * join. The personal room is its user's own whatever the patterns say (P-20).
 */
export function rightsIn(identity: Pick<Identity, "user" | "rooms">, room: string): ReadonlySet<RoomRight> {
  if (isReservedRoom(room)) return nothing;
  if (isPersonalRoom(room)) return room === personalRoom(identity.user) ? ownPersonalRoom : nothing;
  const { rooms } = identity;
  if (rooms === undefined) return everything;
  if (isList(rooms)) return rooms.some((pattern) => matches(pattern, room)) ? everything : nothing;
  return listedRights(rooms, room);
}

/**
 * Checks rights that come from outside (a token's claim, an app's answer): `undefined` where they are malformed, which
 * includes an unknown right, more than `maxRoomPatterns` patterns and one over `maxPatternCharacters`.
 */
export function readRights(value: unknown): RoomRights | undefined {
  if (Array.isArray(value)) {
    return value.length <= maxRoomPatterns && value.every(isPattern) ? value : undefined;
  }
  if (!isObject(value)) return undefined;
  const entries: [string, unknown][] = Object.entries(value);
  const good =
    entries.length <= maxRoomPatterns && entries.every(([key, list]) => isPattern(key) && isRightsList(list));
  return good ? (value as RoomRights) : undefined;
}

/**
 * Whether a pattern matches a room's name. Segments are what `/` separates. `**` alone in a segment stands for any
 * number of segments, none included; `*` stands for any run of characters within its segment, and alone for one or more.
 * Work is bounded by the product of the two lengths: only the last wildcard is ever tried again.
 */
export function matches(pattern: string, room: string): boolean {
  if (isPersonalRoom(room) || isReservedRoom(room)) return false;
  if (!pattern.includes("*")) return pattern === room;
  if (pattern === "**") return true;
  return matchAll(pattern.split("/"), room.split("/"), isManySegments, matchesSegment);
}

function isManySegments(segment: string): boolean {
  return segment === "**";
}

function isManyCharacters(character: string): boolean {
  return character === "*";
}

function matchesSegment(pattern: string, segment: string): boolean {
  if (!pattern.includes("*")) return pattern === segment;
  if (onlyStars.test(pattern)) return segment !== "";
  return matchAll(pattern, segment, isManyCharacters, isSame);
}

const onlyStars = /^\*+$/;

function isSame(a: string, b: string): boolean {
  return a === b;
}

/**
 * The same walk over segments and over characters. A wildcard takes nothing at first; whenever what follows it does not
 * fit, the newest wildcard takes one item more. Earlier ones need no second try: what they matched is the leftmost fit.
 */
function matchAll(
  pattern: ArrayLike<string>,
  items: ArrayLike<string>,
  isWildcard: (item: string) => boolean,
  fits: (pattern: string, item: string) => boolean,
): boolean {
  let p = 0;
  let i = 0;
  let afterWildcard = -1;
  let taken = 0;
  while (i < items.length) {
    const wanted = pattern[p];
    if (wanted !== undefined && isWildcard(wanted)) {
      afterWildcard = ++p;
      taken = i;
    } else if (wanted !== undefined && fits(wanted, items[i] ?? "")) {
      p++;
      i++;
    } else if (afterWildcard !== -1) {
      p = afterWildcard;
      i = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.length && isWildcard(pattern[p] ?? "")) p++;
  return p === pattern.length;
}

function listedRights(
  rooms: { readonly [pattern: string]: readonly RoomRight[] },
  room: string,
): ReadonlySet<RoomRight> {
  const found = new Set<RoomRight>();
  for (const [pattern, listed] of Object.entries(rooms)) {
    if (!matches(pattern, room)) continue;
    for (const right of listed) found.add(right);
  }
  return found;
}

function isList(rooms: RoomRights): rooms is readonly string[] {
  return Array.isArray(rooms);
}

function isPattern(value: unknown): boolean {
  return typeof value === "string" && value !== "" && value.length <= maxPatternCharacters;
}

function isRightsList(value: unknown): boolean {
  const known: readonly unknown[] = roomRights;
  return Array.isArray(value) && value.length <= known.length && value.every((right) => known.includes(right));
}
