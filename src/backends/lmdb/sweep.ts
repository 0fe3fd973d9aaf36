import type { BackendContext } from "../backend.ts";
import type { Facts } from "./facts.ts";
import {
  graveKey,
  graves,
  entries,
  keyOfExpiry,
  keysExpiredAt,
  keysOf,
  roomNameOf,
  roomOfGrave,
  roomsAfter,
} from "./layout.ts";
import type { Log } from "./log.ts";
import { decodeKey } from "./records.ts";
import type { Room } from "./room.ts";
import type { Rooms } from "./rooms.ts";
import type { Store, Write } from "./store.ts";

/** What one sweep does at most. At one sweep a second, what expires faster than this is kept a while longer. */
const mostKeys = 2_000;
const mostFacts = 1_000;
const mostBuried = 2_000;
const mostRooms = 200;
const mostEntriesARoom = 500;
const mostEntries = 2_000;

/** Finds what nobody asks for any more: expired keys and facts, messages too old, rooms with nothing left. */
export class Sweep {
  readonly #store: Store;
  readonly #rooms: Rooms;
  readonly #facts: Facts;
  readonly #log: Log;
  readonly #now: BackendContext["now"];
  /** Where the walk over the rooms goes on. */
  #after = "";

  constructor(store: Store, rooms: Rooms, facts: Facts, log: Log, now: BackendContext["now"]) {
    this.#store = store;
    this.#rooms = rooms;
    this.#facts = facts;
    this.#log = log;
    this.#now = now;
  }

  /** The next step: what is to be written, and the rooms that it forgets. */
  step(): { writes: Write[]; forgotten: Room[] } {
    const writes: Write[] = [];
    this.#facts.sweep(writes, mostFacts);
    this.#expireKeys(writes);
    this.#bury(writes);
    return { writes, forgotten: this.#walkRooms(writes) };
  }

  #expireKeys(writes: Write[]): void {
    const now = this.#now();
    for (const { key: expiry } of this.#store.range(keysExpiredAt(now), mostKeys)) {
      const key = keyOfExpiry(expiry);
      // Removing it now would come after the new one that is on its way. The row stays for the next sweep.
      if (this.#log.isKeyUnderWay(key)) continue;
      const value = this.#store.get(key);
      const record = value && decodeKey(key, value);
      writes.push({ key: expiry, value: undefined });
      // A key that was used again after its time has a later row of its own.
      if (record !== undefined && record.until <= now) writes.push({ key, value: undefined });
    }
  }

  /** Removes what forgotten rooms left behind. */
  #bury(writes: Write[]): void {
    let left = mostBuried;
    for (const { key: grave } of this.#store.range(graves, mostBuried)) {
      const room = roomOfGrave(grave);
      for (const range of [entries(room, 0, Infinity), keysOf(room)]) {
        for (const { key } of this.#store.range(range, left)) {
          writes.push({ key, value: undefined });
          left--;
        }
        if (left <= 0) return;
      }
      writes.push({ key: graveKey(room), value: undefined });
    }
  }

  #walkRooms(writes: Write[]): Room[] {
    const forgotten: Room[] = [];
    const atMost = writes.length + mostEntries;
    const names = [...this.#store.range(roomsAfter(this.#after), mostRooms)].map(({ key }) => roomNameOf(key));
    for (const name of names) {
      if (writes.length >= atMost) return forgotten;
      this.#after = name;
      const room = this.#rooms.held(name);
      if (room === undefined || room.isGone) continue;
      room.trim(writes, this.#now(), mostEntriesARoom);
      if (!room.isVacant(this.#now())) continue;
      this.#rooms.forget(room, writes);
      forgotten.push(room);
    }
    if (names.length < mostRooms) this.#after = "";
    return forgotten;
  }
}
