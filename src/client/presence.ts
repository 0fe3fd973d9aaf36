import type { PresenceFrame } from "../protocol/frames.ts";
import type { PresenceChange } from "./types.ts";

export type PresenceList = ReadonlyMap<string, unknown>;

/**
 * P-40 to P-43: the list after a frame, and what the app is told of it. A frame of counts only drops the list: it would
 * soon be wrong.
 */
export function applyPresence(
  list: PresenceList,
  frame: PresenceFrame,
): { list: PresenceList; change: PresenceChange } {
  const { joined = [], updated = [], left = [], all, members } = frame;
  const isChange = joined.length + updated.length + left.length > 0;
  const next = new Map(isChange ? list : []);
  for (const { user } of left) next.delete(user);
  for (const { user, data } of all ?? [...joined, ...updated]) next.set(user, data);
  return { list: next, change: { joined, updated, left: left.map(({ user }) => user), replaced: !isChange, members } };
}
