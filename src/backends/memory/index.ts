/* oxlint-disable typescript/require-await -- async makes of what is thrown the rejection that the contract asks for */
import type {
  Appended,
  Backend,
  BackendContext,
  Found,
  KeyFacts,
  KeyRef,
  LogEntry,
  LogState,
  NewEntry,
  RoomListener,
  RoomRef,
  Subscription,
} from "../backend.ts";
import { BackendUnavailable } from "../backend.ts";
import { MemoryFacts } from "./facts.ts";
import { MemoryRoom } from "./room.ts";

const sweepEveryMs = 1_000;
/** Rooms that one sweep looks at, so that a hundred thousand of them do not hold up a turn. */
const roomsASweep = 2_000;

/**
 * Keeps everything in this process and loses it when the process ends: clients then find another epoch and load their
 * state anew.
 */
export function memory(): Backend {
  return new MemoryBackend();
}

class MemoryBackend implements Backend {
  readonly name = "memory";
  readonly promises = { survives: "nothing", shared: false, log: true } as const;
  readonly #rooms = new Map<string, MemoryRoom>();
  readonly #facts = new MemoryFacts();
  #context: BackendContext | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Iterator<[string, MemoryRoom]> | undefined;

  async open(context: BackendContext): Promise<void> {
    context.log(
      "info",
      "the log is in memory: messages, offsets and keys are lost when this process ends, and no other process sees them",
    );
    this.#context = context;
    this.#timer = setInterval(() => this.#sweep(), sweepEveryMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#context = undefined;
    this.#rooms.clear();
  }

  async check(): Promise<void> {
    this.#opened();
  }

  async find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    return this.#living(room)?.find(key);
  }

  async append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended> {
    return this.#room(room).append(entry, key);
  }

  async state(room: RoomRef): Promise<LogState> {
    return this.#room(room).state();
  }

  async read(room: RoomRef, after: number, limit: number, epoch?: string): Promise<LogEntry[]> {
    return this.#living(room, epoch)?.read(after, limit) ?? [];
  }

  async readBack(room: RoomRef, before: number | undefined, limit: number, epoch?: string): Promise<LogEntry[]> {
    return this.#living(room, epoch)?.readBack(before, limit) ?? [];
  }

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#room(room).subscribe(listener);
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    this.#opened();
    this.#rooms.get(room.name)?.relay(text);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    this.#facts.set(key, value, this.#steadyNow() + ttlMs);
  }

  get(key: string): string | undefined {
    return this.#facts.get(key, this.#steadyNow());
  }

  async take(key: string): Promise<string | undefined> {
    return this.#facts.take(key, this.#steadyNow());
  }

  #steadyNow(): number {
    const { now, steadyNow = now } = this.#opened();
    return steadyNow();
  }

  #opened(): BackendContext {
    if (this.#context === undefined) throw new BackendUnavailable("the memory backend is not open");
    return this.#context;
  }

  /** The room as it lives; one whose time is over is forgotten here, whether or not the sweep was there first. */
  #living(ref: RoomRef, epoch?: string): MemoryRoom | undefined {
    this.#opened();
    const room = this.#rooms.get(ref.name);
    if (epoch !== undefined && room?.epoch !== epoch) return undefined;
    if (room?.expire() !== true) return room?.use(ref);
    this.#rooms.delete(ref.name);
    return undefined;
  }

  #room(ref: RoomRef): MemoryRoom {
    const living = this.#living(ref);
    if (living !== undefined) return living;
    const room = new MemoryRoom(this.#opened(), ref.keep);
    this.#rooms.set(ref.name, room);
    return room;
  }

  #sweep(): void {
    this.#facts.sweep(this.#steadyNow());
    this.#sweeping ??= this.#rooms.entries();
    for (let i = 0; i < roomsASweep; i++) {
      const next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = undefined;
        return;
      }
      const [name, room] = next.value;
      if (room.expire()) this.#rooms.delete(name);
    }
  }
}
