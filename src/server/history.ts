import type { Backend, LogEntry, RoomRef } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { encodeKept } from "../protocol/encode.ts";
import { maxHistoryPage } from "../protocol/limits.ts";

/** A page ends before this, so that it fits the outbox of whoever asked; one message is always in it. */
const maxPageBytes = 262_144;

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
  const entries = await backend.readBack(ref, Math.min(before ?? head + 1, head + 1), count + 1, epoch);
  const page = newestWithin(entries.slice(-count), maxPageBytes);
  const cursor = JSON.stringify(formatCursor({ epoch, offset: head }));
  return `"messages":[${page.map(encodeKept).join(",")}],"cursor":${cursor},"more":${entries.length > page.length}`;
}

function newestWithin(entries: readonly LogEntry[], bytes: number): readonly LogEntry[] {
  let from = entries.length;
  let size = 0;
  while (from > 0) {
    size += Buffer.byteLength(entries[from - 1]?.body ?? "");
    if (size > bytes && from < entries.length) break;
    from--;
  }
  return entries.slice(from);
}
