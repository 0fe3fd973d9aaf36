import { BackendUnavailable, type Appended, type BackendContext, type Found, type KeyFacts, type KeyRef } from "../backend.ts";
import type { LogEntry, LogState, NewEntry, RoomListener, RoomRef, Subscription } from "../backend.ts";
import { clampTime, entryKey, hashOf, keyExpiryKey, keyKey } from "./layout.ts";
import { encodeEntry, encodeKey, type KeyRecord } from "./records.ts";
import type { Room } from "./room.ts";
import type { Rooms } from "./rooms.ts";
import type { Write } from "./store.ts";
import type { Writer } from "./writer.ts";

/** Old entries that one append removes: more than it adds, so that a log grown too long gets short again. */
const trimAnAppend = 4;

/**
 * Numbers messages when they are called for and hands them to the writer; readers and listeners get them when they are on
 * disk. All that belongs to one message (itself, its key, a new room's record, what it pushes out) is one task, so one
 * transaction.
 */
export class Log {
  readonly #rooms: Rooms;
  readonly #writer: Writer;
  readonly #context: BackendContext;

  constructor(rooms: Rooms, writer: Writer, context: BackendContext) {
    this.#rooms = rooms;
    this.#writer = writer;
    this.#context = context;
  }

  append(ref: RoomRef, entry: NewEntry, key: (KeyRef & KeyFacts) | undefined): Promise<Appended> {
    this.#writer.checkRoom();
    const writes: Write[] = [];
    const room = this.#rooms.obtain(ref, writes);
    if (room.refusing !== undefined) throw room.refusing;
    try {
      const earlier = key && room.key(nameOf(key), this.#context.now());
      if (key === undefined || earlier === undefined) return this.#keep(room, entry, key, writes);
      return this.#inTurn(room, writes, () =>
        earlier.fingerprint === key.fingerprint ? { kind: "duplicate", ...foundOf(room, earlier) } : { kind: "conflict" },
      );
    } catch (error) {
      refuseUntilTold(room, error);
      // A room that was made for this append is in memory now, so it has to get to the disk as well.
      if (writes.length > 0) this.#inTurn(room, writes, () => undefined).catch(() => undefined);
      throw error;
    }
  }

  /** Waits for an append with this key that is under way: in its turn, the key is on disk or gone. */
  async find(ref: RoomRef, key: KeyRef): Promise<Found | undefined> {
    const room = this.#rooms.find(ref.name);
    const record = room?.key(nameOf(key), this.#context.now());
    if (room === undefined || record === undefined) return undefined;
    const found = foundOf(room, record);
    return room.keysUnderWay.has(nameOf(key)) ? this.#inTurn(room, [], () => found) : found;
  }

  async state(ref: RoomRef): Promise<LogState> {
    return this.#whenKept(ref, (room) => room.state(this.#context.now()));
  }

  async subscribe(ref: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#whenKept(ref, (room) => {
      const state = room.state(this.#context.now());
      const remove = room.listeners.add(listener);
      const close = (): void => {
        remove();
        room.usedAt = this.#context.now();
      };
      return { state, close };
    });
  }

  read(ref: RoomRef, after: number, limit: number): LogEntry[] {
    return this.#existing(ref)?.read(after, limit, this.#context.now()) ?? [];
  }

  readBack(ref: RoomRef, before: number | undefined, limit: number): LogEntry[] {
    return this.#existing(ref)?.readBack(before, limit, this.#context.now()) ?? [];
  }

  relay(ref: RoomRef, text: string): void {
    this.#rooms.inMemory(ref.name)?.listeners.relayed(text, this.#context.log);
  }

  #existing(ref: RoomRef): Room | undefined {
    const room = this.#rooms.find(ref.name);
    room?.use(ref.keep, this.#context.now());
    return room;
  }

  #keep(room: Room, entry: NewEntry, key: (KeyRef & KeyFacts) | undefined, writes: Write[]): Promise<Appended> {
    const offset = room.numbered + 1;
    writes.push({ key: entryKey(room.id, offset), value: encodeEntry(room.seed, offset, entry) });
    const kept = entryOf(offset, entry);
    const record = key && this.#keepKey(room, offset, key, writes);
    room.numbered = offset;
    room.trim(writes, this.#context.now(), trimAnAppend);
    const settled = (): void => {
      if (key !== undefined && room.keysUnderWay.get(nameOf(key)) === record) room.keysUnderWay.delete(nameOf(key));
    };
    const tell = (): Appended => {
      settled();
      room.head = offset;
      room.listeners.appended(kept, this.#context.log);
      return { kind: "kept", epoch: room.epoch, offset };
    };
    return this.#inTurn(room, writes, tell, settled);
  }

  #keepKey(room: Room, offset: number, key: KeyRef & KeyFacts, writes: Write[]): KeyRecord {
    const { fingerprint, resultJson, dedupeMs } = key;
    const hash = hashOf(nameOf(key));
    const record = { until: clampTime(this.#context.now() + dedupeMs), offset, fingerprint, resultJson };
    const at = keyKey(room.id, hash);
    writes.push({ key: at, value: encodeKey(at, record) });
    writes.push({ key: keyExpiryKey(record.until, room.id, hash), value: Buffer.of(0) });
    room.keysUnderWay.set(nameOf(key), record);
    return record;
  }

  /** Looks at a room once all that was called for before is on disk, making the room where it is missing. */
  #whenKept<T>(ref: RoomRef, look: (room: Room) => T): T | Promise<T> {
    this.#writer.checkRoom();
    const writes: Write[] = [];
    const room = this.#rooms.obtain(ref, writes);
    return writes.length === 0 && room.pending === 0 ? look(room) : this.#inTurn(room, writes, () => look(room));
  }

  #inTurn<T>(room: Room, writes: readonly Write[], tell: () => T, failed?: () => void): Promise<T> {
    room.pending++;
    return new Promise((resolve, reject) => {
      this.#writer.add({
        writes,
        done: () => {
          room.pending--;
          try {
            resolve(tell());
          } catch (error) {
            reject(error);
          }
        },
        failed: (error) => {
          room.pending--;
          failed?.();
          reject(error);
        },
      });
    });
  }
}

/** An append that fails before it is numbered: those called before the caller hears of it must not be kept either. */
function refuseUntilTold(room: Room, error: unknown): void {
  if (!(error instanceof BackendUnavailable) || room.refusing !== undefined) return;
  room.refusing = error;
  setImmediate(() => (room.refusing = undefined));
}

function nameOf({ scope, key }: KeyRef): string {
  return `${scope.length}:${scope}${key}`;
}

function foundOf(room: Room, { offset, fingerprint, resultJson }: KeyRecord): Found {
  return { epoch: room.epoch, offset, fingerprint, resultJson };
}

function entryOf(offset: number, { body, at, except }: NewEntry): LogEntry {
  return except === undefined ? { offset, body, at } : { offset, body, at, except };
}
