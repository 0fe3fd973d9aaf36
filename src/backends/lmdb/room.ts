import type { Keep } from "../../protocol/contract.ts";
import { BackendUnavailable, type LogEntry, type LogState } from "../backend.ts";
import { lingerMs } from "../epoch.ts";
import { Listeners } from "../listeners.ts";
import { entries, entryKey, keysOf, offsetOf, roomKey } from "./layout.ts";
import {
  decodeEntry,
  decodeEntryTime,
  decodeKey,
  encodeRoom,
  entrySeed,
  type KeyRecord,
  type RoomRecord,
} from "./records.ts";
import type { Store, Write } from "./store.ts";

/** Expired keys that one look at a room passes over; beyond it the sweep has to come first. */
const mostExpiredKeys = 100;

/** One life of one room: what is on disk, and what is on its way there. */
export class Room {
  readonly name: string;
  readonly id: number;
  readonly epoch: string;
  readonly listeners: Listeners = new Listeners();
  /** Tasks of this room that the writer has. */
  pending = 0;
  /** Forgotten: the next to ask gets another life. */
  isGone = false;
  /** Set while an append's failure is being told, so that no later one passes it. */
  refusing: BackendUnavailable | undefined;
  /** The newest offset given, on its way to the disk or there. */
  numbered: number;
  /** The newest offset on disk: what readers see. */
  head: number;
  usedAt: number;
  #keep: Keep;
  #isKeepOnDisk = true;
  readonly #store: Store;
  readonly #seed: number;
  /** Up to here entries are removed on disk, or are about to be. */
  #removed: number;
  /** Up to here entries are too old, or too many: readers do not see them. */
  #floor: number;
  /** The time of one entry, so that most looks at the oldest one cost nothing. */
  #known: { readonly offset: number; readonly at: number } | undefined;

  constructor(store: Store, name: string, record: RoomRecord) {
    this.#store = store;
    this.name = name;
    this.id = record.id;
    this.epoch = record.epoch;
    this.usedAt = record.usedAt;
    this.#keep = record.keep;
    this.#seed = entrySeed(name, record.epoch);
    const all = entries(record.id, 0, Infinity);
    const newest = store.last(all);
    this.head = newest === undefined ? record.head : offsetOf(newest.key);
    this.numbered = this.head;
    this.#removed = this.head;
    for (const { key } of store.range(all, 1)) this.#removed = offsetOf(key) - 1;
    this.#floor = this.#removed;
  }

  get seed(): number {
    return this.#seed;
  }

  /** Everything that was on its way is lost: back to what is on disk. Gives the entries that nobody was told of. */
  reload(record: RoomRecord): LogEntry[] {
    const told = this.head;
    const fresh = new Room(this.#store, this.name, record);
    this.head = this.numbered = fresh.head;
    this.#removed = fresh.#removed;
    this.#floor = Math.max(this.#floor, this.#removed);
    this.#known = undefined;
    this.pending = 0;
    return this.head > told ? this.#entries(told + 1, this.head) : [];
  }

  use(keep: Keep, now: number): void {
    this.usedAt = now;
    if (keep.messages === this.#keep.messages && keep.ms === this.#keep.ms) return;
    this.#keep = keep;
    this.#isKeepOnDisk = false;
  }

  state(now: number): LogState {
    return { epoch: this.epoch, head: this.head, trimmed: this.#trimmed(now) };
  }

  /** Throws BackendUnavailable where an entry is damaged. */
  read(after: number, limit: number, now: number): LogEntry[] {
    const first = Math.max(after, this.#trimmed(now)) + 1;
    return this.#entries(first, Math.min(first + limit - 1, this.head));
  }

  readBack(before: number | undefined, limit: number, now: number): LogEntry[] {
    const last = Math.min(before === undefined ? this.head : before - 1, this.head);
    return this.#entries(Math.max(last - limit, this.#trimmed(now)) + 1, last);
  }

  /** What a publish left at a place by `keyKey`, on disk. */
  key(key: Buffer, now: number): KeyRecord | undefined {
    const value = this.#store.get(key);
    if (value === undefined) return undefined;
    const record = decodeKey(key, value);
    if (record === undefined) throw damaged(`a key of room ${JSON.stringify(this.name)}`);
    return record.until > now ? record : undefined;
  }

  /** Adds the removal of up to `limit` entries that are too old or too many. */
  trim(writes: Write[], now: number, limit: number): void {
    const before = this.#removed;
    const target = Math.max(this.#trimmed(now), this.numbered - this.#keep.messages);
    const last = Math.min(target, before + limit);
    while (this.#removed < last) writes.push({ key: entryKey(this.id, ++this.#removed), value: undefined });
    // With the newest entry gone, the head must be told by the record.
    if (this.#removed > before && this.#removed === this.numbered) this.save(writes);
    else if (!this.#isKeepOnDisk) this.save(writes);
  }

  save(writes: Write[]): void {
    const key = roomKey(this.name);
    const head = this.numbered;
    writes.push({
      key,
      value: encodeRoom(key, { id: this.id, epoch: this.epoch, head, usedAt: this.usedAt, keep: this.#keep }),
    });
    this.#isKeepOnDisk = true;
  }

  /** Whether nobody can ask for anything of this life any more. */
  isVacant(now: number): boolean {
    if (this.pending > 0 || this.listeners.size > 0 || now - this.usedAt < lingerMs) return false;
    return this.#trimmed(now) === this.head && !this.#hasKeys(now);
  }

  #hasKeys(now: number): boolean {
    let seen = 0;
    for (const { key, value } of this.#store.range(keysOf(this.id), mostExpiredKeys)) {
      const record = decodeKey(key, value);
      if (record !== undefined && record.until > now) return true;
      seen++;
    }
    return seen === mostExpiredKeys;
  }

  #entries(first: number, last: number): LogEntry[] {
    const found: LogEntry[] = [];
    if (last < first) return found;
    let next = first;
    for (const { key, value } of this.#store.range(entries(this.id, first, last), last - first + 1)) {
      const offset = offsetOf(key);
      // A commit that this thread was not told of yet may have removed the oldest ones. Nothing else may be missing.
      const isNext = offset === next || (next === first && offset <= this.#removed + 1);
      const entry = isNext ? decodeEntry(this.#seed, offset, value) : undefined;
      if (entry === undefined) throw damaged(`room ${JSON.stringify(this.name)} at offset ${isNext ? offset : next}`);
      found.push(entry);
      next = offset + 1;
    }
    if (next <= last && last > this.#removed) throw damaged(`room ${JSON.stringify(this.name)} at offset ${next}`);
    return found;
  }

  /** Moves the floor up to the first entry that is neither too many nor too old. */
  #trimmed(now: number): number {
    const since = now - this.#keep.ms;
    let low = Math.max(this.#floor, this.head - this.#keep.messages);
    let high = this.head;
    // Times rise with the offsets, so halving finds the place. Most often the first look ends it.
    for (let probe = low + 1; low < high; probe = low + Math.ceil((high - low) / 2)) {
      if (this.#timeOf(probe) < since) low = probe;
      else high = probe - 1;
    }
    this.#floor = low;
    return low;
  }

  /** An entry that cannot be read counts as new: it is not passed over in silence. One that is gone counts as old. */
  #timeOf(offset: number): number {
    if (this.#known?.offset === offset) return this.#known.at;
    const value = this.#store.get(entryKey(this.id, offset));
    const at = value === undefined ? -Infinity : (decodeEntryTime(this.#seed, offset, value) ?? Infinity);
    this.#known = { offset, at };
    return at;
  }
}

export function damaged(what: string): BackendUnavailable {
  return new BackendUnavailable(
    `the log is damaged: ${what} fails its checksum or is missing, and is not given out. Restore the directory from a backup`,
  );
}
