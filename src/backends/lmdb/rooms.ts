import { BackendUnavailable, type BackendContext, type RoomRef } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import { graveKey, metaKey, roomKey } from "./layout.ts";
import { decodeRoom, type RoomRecord } from "./records.ts";
import { damaged, Room } from "./room.ts";
import type { Store, Write } from "./store.ts";

/** Rooms held in memory without being needed; one more, and those that were not used for longest go. */
const mostIdle = 10_000;
/** How many are looked at for each that comes in, so that making place is never a long walk. */
const looksForPlace = 8;

/** The rooms that are in memory, and the way of the others into it. */
export class Rooms {
  readonly #store: Store;
  readonly #context: BackendContext;
  readonly #rooms = new Map<string, Room>();
  #nextId: number;

  constructor(store: Store, context: BackendContext) {
    this.#store = store;
    this.#context = context;
    this.#nextId = this.#nextIdOnDisk();
  }

  /** The room as it lives, without making one. */
  find(name: string): Room | undefined {
    const room = this.held(name);
    return room === undefined || room.isGone || room.isVacant(this.#context.now()) ? undefined : room;
  }

  /** The room as it is in memory or on disk, even where its time is over. */
  held(name: string): Room | undefined {
    const inMemory = this.#rooms.get(name);
    if (inMemory !== undefined) return inMemory;
    const room = this.#load(name);
    if (room !== undefined) this.#hold(room);
    return room;
  }

  inMemory(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  /** The room as it lives or a new life of it. What that takes on disk is added to `writes`, to be written with them. */
  obtain(ref: RoomRef, writes: Write[]): Room {
    const now = this.#context.now();
    const living = this.find(ref.name);
    if (living !== undefined) {
      living.use(ref.keep, now);
      return living;
    }
    const vacant = this.#rooms.get(ref.name);
    if (vacant?.isGone === false) this.forget(vacant, writes);
    const id = this.#nextId++;
    const room = new Room(this.#store, ref.name, { id, epoch: newEpoch(), head: 0, usedAt: now, keep: ref.keep });
    room.save(writes);
    writes.push({ key: metaKey("nextRoom"), value: Buffer.from(String(this.#nextId)) });
    this.#hold(room);
    return room;
  }

  /** Ends a life. Its record goes at once; its entries and keys are removed bit by bit, by its number. */
  forget(room: Room, writes: Write[]): void {
    room.isGone = true;
    writes.push({ key: roomKey(room.name), value: undefined }, { key: graveKey(room.id), value: Buffer.of(0) });
  }

  /** Takes a forgotten room out of memory, now that it is gone on disk. */
  drop(room: Room): void {
    if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
  }

  /** After a commit that failed: what was on its way is gone, and only what is on disk counts. */
  reload(): void {
    this.#nextId = Math.max(this.#nextId, this.#nextIdOnDisk());
    for (const room of this.#rooms.values()) {
      const record = room.listeners.size > 0 ? this.#record(room.name) : undefined;
      if (record?.id !== room.id) {
        this.#rooms.delete(room.name);
        continue;
      }
      // A commit may have reached the disk although it was reported as failed: its listeners must not miss it.
      for (const entry of room.reload(record)) room.listeners.appended(entry, this.#context);
    }
  }

  #hold(room: Room): void {
    this.#rooms.delete(room.name);
    this.#rooms.set(room.name, room);
    if (this.#rooms.size <= mostIdle) return;
    let looks = 0;
    for (const [name, oldest] of this.#rooms) {
      if (looks++ === looksForPlace) return;
      this.#rooms.delete(name);
      const isNeeded = oldest === room || oldest.pending > 0 || oldest.listeners.size > 0 || oldest.isGone;
      if (isNeeded) this.#rooms.set(name, oldest);
    }
  }

  #load(name: string): Room | undefined {
    const record = this.#record(name);
    return record && new Room(this.#store, name, record);
  }

  #record(name: string): RoomRecord | undefined {
    const key = roomKey(name);
    const value = this.#store.get(key);
    if (value === undefined) return undefined;
    const record = decodeRoom(key, value);
    if (record === undefined) throw damaged(`the record of room ${JSON.stringify(name)}`);
    return record;
  }

  #nextIdOnDisk(): number {
    const id = Number(this.#store.get(metaKey("nextRoom"))?.toString() ?? 1);
    if (!Number.isSafeInteger(id) || id < 1) throw new BackendUnavailable("the log is damaged: its next room number");
    return id;
  }
}
