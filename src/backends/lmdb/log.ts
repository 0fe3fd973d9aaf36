import {
  BackendUnavailable,
  type Appended,
  type BackendContext,
  type Found,
  type KeyFacts,
  type KeyRef,
  type LogEntry,
  type LogState,
  type NewEntry,
  type RoomListener,
  type RoomRef,
  type Subscription,
} from "../backend.ts";
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
  /** What keys on their way to the disk will be, by where they will stand. As many as the writer's tasks at most. */
  readonly #keysUnderWay = new Map<string, KeyRecord>();

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
      const at = key && placeOf(room, key);
      const earlier = at && this.#key(room, at);
      if (key === undefined || earlier === undefined) return this.#keep(room, entry, key, writes);
      return this.#inTurn(room, writes, () =>
        earlier.fingerprint === key.fingerprint
          ? { kind: "duplicate", ...foundOf(room, earlier) }
          : { kind: "conflict" },
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
    if (room === undefined) return undefined;
    const at = placeOf(room, key);
    const record = this.#key(room, at);
    const found = record && foundOf(room, record);
    return this.isKeyUnderWay(at) ? this.#inTurn(room, [], () => found) : found;
  }

  /** Whether an append that writes there waits for the disk. */
  isKeyUnderWay(at: Buffer): boolean {
    return this.#keysUnderWay.has(textOf(at));
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
      return { state, sync: () => this.state(ref), others: () => Promise.resolve(0), close };
    });
  }

  read(ref: RoomRef, after: number, limit: number, epoch?: string): LogEntry[] {
    return this.#existing(ref, epoch)?.read(after, limit, this.#context.now()) ?? [];
  }

  readBack(ref: RoomRef, before: number | undefined, limit: number, epoch?: string): LogEntry[] {
    return this.#existing(ref, epoch)?.readBack(before, limit, this.#context.now()) ?? [];
  }

  relay(ref: RoomRef, text: string): void {
    this.#rooms.inMemory(ref.name)?.listeners.relayed(text, this.#context);
  }

  #existing(ref: RoomRef, epoch?: string): Room | undefined {
    const room = this.#rooms.find(ref.name);
    if (epoch !== undefined && room?.epoch !== epoch) return undefined;
    room?.use(ref.keep, this.#context.now());
    return room;
  }

  #keep(room: Room, entry: NewEntry, key: (KeyRef & KeyFacts) | undefined, writes: Write[]): Promise<Appended> {
    const offset = room.numbered + 1;
    writes.push({ key: entryKey(room.id, offset), value: encodeEntry(room.seed, offset, entry) });
    const kept = entryOf(offset, entry);
    const settled = key && this.#keepKey(room, offset, key, writes);
    room.numbered = offset;
    room.trim(writes, this.#context.now(), trimAnAppend);
    const tell = (): Appended => {
      settled?.();
      room.head = offset;
      room.listeners.appended(kept, this.#context);
      return { kind: "kept", epoch: room.epoch, offset };
    };
    return this.#inTurn(room, writes, tell, settled);
  }

  #steadyNow(): number {
    return (this.#context.steadyNow ?? this.#context.now)();
  }

  #key(room: Room, at: Buffer): KeyRecord | undefined {
    return this.#keysUnderWay.get(textOf(at)) ?? room.key(at, this.#steadyNow());
  }

  /** Gives the function to call when the append is settled. */
  #keepKey(room: Room, offset: number, key: KeyRef & KeyFacts, writes: Write[]): () => void {
    const { fingerprint, resultJson, dedupeMs } = key;
    const record = { until: clampTime(this.#steadyNow() + dedupeMs), offset, fingerprint, resultJson };
    const at = placeOf(room, key);
    writes.push(
      { key: at, value: encodeKey(at, record) },
      { key: keyExpiryKey(record.until, at), value: Buffer.of(0) },
    );
    this.#keysUnderWay.set(textOf(at), record);
    return () => void this.#keysUnderWay.delete(textOf(at));
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
            reject(error instanceof Error ? error : new Error(String(error)));
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

/** The length keeps the scope `ab` with the key `c` apart from `a` with `bc`. */
function placeOf(room: Room, { scope, key }: KeyRef): Buffer {
  return keyKey(room.id, hashOf(`${scope.length}:${scope}${key}`));
}

function textOf(at: Buffer): string {
  return at.toString("latin1");
}

function foundOf(room: Room, { offset, fingerprint, resultJson }: KeyRecord): Found {
  return { epoch: room.epoch, offset, fingerprint, resultJson };
}

function entryOf(offset: number, { body, at, except }: NewEntry): LogEntry {
  return except === undefined ? { offset, body, at } : { offset, body, at, except };
}
