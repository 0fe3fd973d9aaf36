import type { Backend, LogEntry, RoomRef } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { encodeKept } from "../protocol/encode.ts";
import { maxHistoryPage } from "../protocol/limits.ts";

/** A page ends before this, so that it fits the outbox of whoever asked; one message is always in it. */
const maxPageBytes = 262_144;

/** A log that is lost again and again is answered as it was seen last. */
const mostAttempts = 3;

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
  const { epoch, head, entries } = await readNewest(backend, ref, before, count + 1);
  const page = newestWithin(entries.slice(-count), maxPageBytes);
  const cursor = JSON.stringify(formatCursor({ epoch, offset: head }));
  return `"messages":[${page.map(encodeKept).join(",")}],"cursor":${cursor},"more":${entries.length > page.length}`;
}

/** One more than asked for tells whether there are more; what came after the state was read is not among them. */
async function readNewest(
  backend: Backend,
  ref: RoomRef,
  before: number | undefined,
  count: number,
): Promise<{ epoch: string; head: number; entries: LogEntry[] }> {
  for (let attempt = 1; ; attempt++) {
    const { epoch, head, trimmed } = await backend.state(ref);
    const entries = await backend.readBack(ref, Math.min(before ?? head + 1, head + 1), count, epoch);
    const isPlausible = entries.length > 0 || head === trimmed || attempt === mostAttempts;
    // A log that was lost in between has another epoch, and the page is to be of that one.
    if (isPlausible || (await backend.state(ref)).epoch === epoch) return { epoch, head, entries };
  }
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
