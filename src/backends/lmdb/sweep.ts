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

/** What one step does at most. Where that was not all, the next step follows when this one is on disk. */
const mostKeys = 500;
const mostFacts = 500;
const mostBuried = 1_000;
/** Rooms are walked through in a circle, so many a step. */
const mostRooms = 200;
const mostEntriesARoom = 500;
const mostEntries = 2_000;

export interface SweepStep {
  readonly writes: Write[];
  /** Rooms that are gone once the writes are on disk. */
  readonly forgotten: Room[];
  /** Whether more than this step could take is due. */
  readonly isBehind: boolean;
}

/** By which messages age, and by which keys expire. */
type SweepClock = Required<Pick<BackendContext, "now" | "steadyNow">>;

/** Finds what nobody asks for any more: expired keys and facts, messages too old, rooms with nothing left. */
export class Sweep {
  readonly #store: Store;
  readonly #rooms: Rooms;
  readonly #facts: Facts;
  readonly #log: Log;
  readonly #clock: SweepClock;
  /** Where the walk over the rooms goes on. */
  #after = "";

  constructor(store: Store, rooms: Rooms, facts: Facts, log: Log, clock: SweepClock) {
    this.#store = store;
    this.#rooms = rooms;
    this.#facts = facts;
    this.#log = log;
    this.#clock = clock;
  }

  step(): SweepStep {
    const writes: Write[] = [];
    const isBehind = [this.#facts.sweep(writes, mostFacts), this.#expireKeys(writes), this.#bury(writes)].includes(
      true,
    );
    return { writes, forgotten: this.#walkRooms(writes), isBehind };
  }

  #expireKeys(writes: Write[]): boolean {
    const now = this.#clock.steadyNow();
    let done = 0;
    for (const { key: expiry } of this.#store.range(keysExpiredAt(now), mostKeys)) {
      const key = keyOfExpiry(expiry);
      // Removing it now would come after the new one that is on its way. The row stays for the next sweep.
      if (this.#log.isKeyUnderWay(key)) continue;
      const value = this.#store.get(key);
      const record = value && decodeKey(key, value);
      writes.push({ key: expiry, value: undefined });
      done++;
      // A key that was used again after its time has a later row of its own.
      if (record !== undefined && record.until <= now) writes.push({ key, value: undefined });
    }
    return done === mostKeys;
  }

  /** Removes what forgotten rooms left behind. */
  #bury(writes: Write[]): boolean {
    let left = mostBuried;
    for (const { key: grave } of this.#store.range(graves, mostBuried)) {
      const room = roomOfGrave(grave);
      for (const range of [entries(room, 0, Infinity), keysOf(room)]) {
        for (const { key } of this.#store.range(range, left)) {
          writes.push({ key, value: undefined });
          left--;
        }
        if (left <= 0) return true;
      }
      writes.push({ key: graveKey(room), value: undefined });
    }
    return false;
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
      room.trim(writes, this.#clock.now(), mostEntriesARoom);
      if (!room.isVacant(this.#clock.now())) continue;
      this.#rooms.forget(room, writes);
      forgotten.push(room);
    }
    if (names.length < mostRooms) this.#after = "";
    return forgotten;
  }
}
