import type { Keep } from "../../protocol/contract.ts";
import type { LogEntry, NewEntry } from "../backend.ts";

const smallest = 8;

/**
 * One room's messages: a ring, because offsets follow each other without holes. Appending and trimming cost the same
 * however many are kept. It holds at most `keep.messages`, those too old included until somebody looks.
 */
export class MemoryLog {
  #ring: (LogEntry | undefined)[] = [];
  #head = 0;
  #trimmed = 0;

  get head(): number {
    return this.#head;
  }

  get trimmed(): number {
    return this.#trimmed;
  }

  append(entry: NewEntry, keep: Keep): LogEntry {
    if (this.#head - this.#trimmed === this.#ring.length) this.#resize(Math.max(smallest, this.#ring.length * 2));
    const offset = ++this.#head;
    const kept = entryOf(offset, entry);
    this.#ring[offset & (this.#ring.length - 1)] = kept;
    while (this.#head - this.#trimmed > keep.messages) this.#dropOldest();
    return kept;
  }

  /** Drops what is older than `since`, from the oldest on. Stops at the first that is not. */
  dropBefore(since: number): void {
    for (let oldest = this.#at(this.#trimmed + 1); oldest !== undefined && oldest.at < since;) {
      this.#dropOldest();
      oldest = this.#at(this.#trimmed + 1);
    }
    if (this.#ring.length > smallest && (this.#head - this.#trimmed) * 4 < this.#ring.length) {
      this.#resize(this.#ring.length / 2);
    }
  }

  /** The entries over `after`, up to `last`, oldest first. */
  slice(after: number, last: number): LogEntry[] {
    const entries: LogEntry[] = [];
    for (let offset = Math.max(after, this.#trimmed) + 1; offset <= Math.min(last, this.#head); offset++) {
      const entry = this.#at(offset);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  #at(offset: number): LogEntry | undefined {
    return offset > this.#head ? undefined : this.#ring[offset & (this.#ring.length - 1)];
  }

  #dropOldest(): void {
    this.#ring[++this.#trimmed & (this.#ring.length - 1)] = undefined;
  }

  /** The length stays a power of two, so that an offset finds its place by a mask. */
  #resize(length: number): void {
    const ring: (LogEntry | undefined)[] = Array.from({ length }, () => undefined);
    for (let offset = this.#trimmed + 1; offset <= this.#head; offset++) ring[offset & (length - 1)] = this.#at(offset);
    this.#ring = ring;
  }
}

function entryOf(offset: number, { body, at, except }: NewEntry): LogEntry {
  // A text glued together from parts keeps the parts alive; V8 makes it one piece when a character is asked for.
  body.charCodeAt(0);
  return except === undefined ? { offset, body, at } : { offset, body, at, except };
}
