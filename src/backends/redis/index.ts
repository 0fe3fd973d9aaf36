import { Redis } from "ioredis";
import {
  type Appended,
  type Backend,
  type BackendContext,
  BackendUnavailable,
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
import { optionsForOne, type RedisBackendOptions, resolveOptions } from "./options.ts";
import { Node } from "./node.ts";

export type { RedisBackendOptions } from "./options.ts";

/**
 * Keeps the logs of rooms in Redis 6.2 or newer, or Valkey, and serves as many processes as share it. Throws a RangeError
 * on options that cannot be meant. `ioredis` must be installed beside Fanfare.
 */
export function redis(options: string | RedisBackendOptions = {}): Backend {
  return new RedisBackend(typeof options === "string" ? { url: options } : options);
}

/** With `isClockHanded` expiries follow the context's clock and not the engine's: for tests, which turn it. */
export class RedisBackend implements Backend {
  readonly name = "redis";
  /** Redis itself may lose what it acknowledged when it dies, as its persistence is set; then the epoch tells. */
  readonly promises = { survives: "process", shared: true, log: true } as const;
  readonly #options: ReturnType<typeof resolveOptions>;
  readonly #isClockHanded: boolean;
  #node: Node | undefined;

  constructor(options: RedisBackendOptions, isClockHanded = false) {
    this.#options = resolveOptions(options);
    this.#isClockHanded = isClockHanded;
  }

  async open(context: BackendContext): Promise<void> {
    const { connection } = this.#options;
    const node = new Node(
      this.#options,
      context,
      () => new Redis({ ...optionsForOne(connection), replyMapping: "legacy" }),
      this.#isClockHanded,
    );
    try {
      await node.start();
    } catch (error) {
      node.destroy();
      throw error;
    }
    this.#node = node;
  }

  async close(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    await node?.close();
  }

  async check(): Promise<void> {
    await this.#opened().check();
  }

  async find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    return this.#opened().log.find(room, key);
  }

  async append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended> {
    return this.#opened().append(room, entry, key);
  }

  async state(room: RoomRef): Promise<LogState> {
    return this.#opened().state(room);
  }

  async read(room: RoomRef, after: number, limit: number, epoch?: string): Promise<LogEntry[]> {
    return this.#opened().log.read(room, after, limit, epoch);
  }

  async readBack(room: RoomRef, before: number | undefined, limit: number, epoch?: string): Promise<LogEntry[]> {
    return this.#opened().log.readBack(room, before, limit, epoch);
  }

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#opened().feeds.subscribe(room, listener);
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    await this.#opened().relay(room, text);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#opened().facts.set(key, value, ttlMs);
  }

  async get(key: string): Promise<string | undefined> {
    return this.#opened().facts.get(key);
  }

  async take(key: string): Promise<string | undefined> {
    return this.#opened().facts.take(key);
  }

  #opened(): Node {
    if (this.#node === undefined) throw new BackendUnavailable("the redis backend is not open");
    return this.#node;
  }
}
