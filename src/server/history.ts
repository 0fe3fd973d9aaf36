import type { Backend, RoomRef } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { encodeKept } from "../protocol/encode.ts";
import { maxHistoryPage } from "../protocol/limits.ts";

/** Which page of a room's log. */
export interface PageRequest {
  /** The messages before this offset; undefined: the newest. */
  readonly before: number | undefined;
  /** Clamped to 100 (P-36). */
  readonly limit: number;
}

/**
 * The members `messages`, `cursor` and `more` of an answer as JSON text without braces (P-36): the entries are put into
 * it as they were kept. Rejects with `BackendUnavailable`.
 */
export async function readPage(backend: Backend, ref: RoomRef, { before, limit }: PageRequest): Promise<string> {
  const count = Math.min(limit, maxHistoryPage);
  const { epoch, head } = await backend.state(ref);
  // One more than asked for tells whether there are more; what came after the state was read is not in this page.
  const entries = await backend.readBack(ref, Math.min(before ?? head + 1, head + 1), count + 1);
  const page = entries.slice(-count);
  const cursor = JSON.stringify(formatCursor({ epoch, offset: head }));
  return `"messages":[${page.map(encodeKept).join(",")}],"cursor":${cursor},"more":${entries.length > page.length}`;
}
