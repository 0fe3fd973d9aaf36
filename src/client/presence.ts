import type { Member, PresenceFrame } from "../protocol/frames.ts";
import type { PresenceChange } from "./types.ts";

export type PresenceList = ReadonlyMap<string, unknown>;

export function listOf(members: readonly Member[]): PresenceList {
  return new Map(members.map(({ user, data }) => [user, data ?? null]));
}

/**
 * P-40 to P-43: the list after a frame, and what the app is told of it. A frame of counts only drops the list: it would
 * soon be wrong.
 */
export function applyPresence(list: PresenceList, frame: PresenceFrame): { list: PresenceList; change: PresenceChange } {
  const { all, members } = frame;
  const joined = frame.joined ?? [];
  const updated = frame.updated ?? [];
  const left = (frame.left ?? []).map(({ user }) => user);
  const countsOnly = !(frame.joined ?? frame.updated ?? frame.left ?? all);
  if (all !== undefined || countsOnly) {
    const replaced = all !== undefined || list.size > 0;
    return { list: listOf(all ?? []), change: { joined: [], left: [], updated: [], replaced, members } };
  }
  const next = new Map(list);
  for (const user of left) next.delete(user);
  for (const { user, data } of [...joined, ...updated]) next.set(user, data ?? null);
  return { list: next, change: { joined, left, updated, replaced: false, members } };
}
