/* oxlint-disable typescript/require-await -- async makes of what is thrown the rejection that the contract asks for */
import { mkdirSync, statfsSync } from "node:fs";
import { resolve } from "node:path";
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
import { checkDataFile, reserveLockFile } from "./datafile.ts";
import { Facts } from "./facts.ts";
import { layoutStamp, metaKey } from "./layout.ts";
import { lockDirectory, type DirectoryLock } from "./lock.ts";
import { Log } from "./log.ts";
import { Rooms } from "./rooms.ts";
import { Store, type Write } from "./store.ts";
import { Sweep } from "./sweep.ts";
import { Writer } from "./writer.ts";

export interface LmdbOptions {
  /** Where the files are; made where it is missing. It belongs to one process at a time. */
  readonly directory: string;
}

const sweepEveryMs = 1_000;
/** With less space than this, a commit that failed is put down to a full disk. */
const fullBelowBytes = 1024 * 1024;

/**
 * The log in files of this machine. A message that was acknowledged outlives `kill -9` and the loss of power: each commit
 * is flushed to the disk before anybody hears of it, and all that comes in meanwhile shares the next flush.
 *
 * Refuses to open where another process has the directory, and where the files are not what this wrote. A full disk
 * makes appends fail with BackendUnavailable until there is space again.
 */
export function lmdb(options: LmdbOptions): Backend {
  return new LmdbBackend(resolve(options.directory));
}

/** What exists while the backend is open. */
interface Opened {
  readonly context: BackendContext;
  readonly lock: DirectoryLock;
  readonly writer: Writer;
  readonly rooms: Rooms;
  readonly log: Log;
  readonly facts: Facts;
  readonly sweep: Sweep;
  readonly timer: NodeJS.Timeout;
}

class LmdbBackend implements Backend {
  readonly name = "lmdb";
  readonly promises = { survives: "machine", shared: false, log: true } as const;
  readonly #directory: string;
  readonly #store: Store;
  #opened: Opened | undefined;
  #recovering: Promise<void> | undefined;
  #isSweeping = false;

  constructor(directory: string) {
    this.#directory = directory;
    this.#store = new Store(directory);
  }

  async open(context: BackendContext): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    const lock = lockDirectory(this.#directory);
    try {
      checkDataFile(this.#directory, lock.wasLeftBehind);
      reserveLockFile(this.#directory);
      this.#store.open();
      await this.#checkLayout();
    } catch (error) {
      await this.#store.close();
      lock.release();
      throw error;
    }
    this.#opened = this.#assemble(context, lock);
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) return;
    this.#opened = undefined;
    clearInterval(opened.timer);
    await opened.writer.idle();
    await this.#recovering;
    await this.#store.close();
    opened.lock.release();
  }

  async check(): Promise<void> {
    const { writer, context } = this.#ready();
    const writes = [{ key: metaKey("check"), value: Buffer.from(String(context.now())) }];
    await new Promise<void>((done, failed) => writer.add({ writes, done, failed }));
  }

  async find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    return this.#ready().log.find(room, key);
  }

  async append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended> {
    return this.#ready().log.append(room, entry, key);
  }

  async state(room: RoomRef): Promise<LogState> {
    return this.#ready().log.state(room);
  }

  async read(room: RoomRef, after: number, limit: number, epoch?: string): Promise<LogEntry[]> {
    return this.#ready().log.read(room, after, limit, epoch);
  }

  async readBack(room: RoomRef, before: number | undefined, limit: number, epoch?: string): Promise<LogEntry[]> {
    return this.#ready().log.readBack(room, before, limit, epoch);
  }

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#ready().log.subscribe(room, listener);
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    this.#ready().log.relay(room, text);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#ready().facts.set(key, value, ttlMs);
  }

  get(key: string): string | undefined {
    return this.#ready().facts.get(key);
  }

  async take(key: string): Promise<string | undefined> {
    return this.#ready().facts.take(key);
  }

  #ready(): Opened {
    if (this.#opened === undefined) throw new BackendUnavailable("the lmdb backend is not open");
    if (this.#store.isOpen) return this.#opened;
    throw new BackendUnavailable("the log is being opened again after a write that failed");
  }

  #assemble(context: BackendContext, lock: DirectoryLock): Opened {
    const writer = new Writer(
      (writes) => this.#commit(writes),
      (error) => void (this.#recovering ??= this.#recover(error)),
    );
    const rooms = new Rooms(this.#store, context);
    const { now, steadyNow = now } = context;
    const facts = new Facts(this.#store, writer, steadyNow);
    const log = new Log(rooms, writer, context);
    const sweep = new Sweep(this.#store, rooms, facts, log, { now, steadyNow });
    const timer = setInterval(() => this.#sweep(), sweepEveryMs).unref();
    return { context, lock, writer, rooms, facts, sweep, timer, log };
  }

  /** LMDB reports a full disk as whatever the system call said, often as an input/output error. */
  async #commit(writes: readonly Write[]): Promise<void> {
    try {
      await this.#store.commit(writes);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      const { bavail, bsize } = statfsSync(this.#directory);
      const isFull = bavail * bsize < fullBelowBytes;
      throw new Error(isFull ? `the disk of ${this.#directory} is full (${text})` : `${this.#directory}: ${text}`, {
        cause,
      });
    }
  }

  /**
   * A commit that failed may leave LMDB in a state in which the next one would hang (it does not look whether a
   * transaction could begin). So the files are closed and opened again, and memory goes back to what they say.
   */
  async #recover(error: BackendUnavailable): Promise<void> {
    const context = this.#opened?.context;
    context?.log("error", error.message, { directory: this.#directory });
    try {
      await this.#store.close();
      this.#store.open();
      this.#opened?.rooms.reload();
    } catch (cause) {
      await this.#store.close();
      context?.log("error", `the log could not be opened again: ${String(cause)}`, { directory: this.#directory });
    } finally {
      this.#recovering = undefined;
    }
  }

  #sweep(): void {
    const opened = this.#opened;
    if (opened === undefined || this.#isSweeping || this.#recovering !== undefined) return;
    if (!this.#store.isOpen) {
      this.#recovering = this.#recover(new BackendUnavailable("the log is closed after a failure; opening it again"));
      return;
    }
    try {
      this.#write(opened);
    } catch (error) {
      opened.context.log("error", `sweeping the log failed: ${String(error)}`, { directory: this.#directory });
    }
  }

  #write({ sweep, writer, rooms }: Opened): void {
    const { writes, forgotten, isBehind } = sweep.step();
    if (writes.length === 0) return;
    this.#isSweeping = true;
    const done = (): void => {
      this.#isSweeping = false;
      for (const room of forgotten) rooms.drop(room);
      if (isBehind) setImmediate(() => this.#sweep());
    };
    writer.add({ writes, done, failed: () => (this.#isSweeping = false) });
  }

  async #checkLayout(): Promise<void> {
    const stamp = this.#store.get(metaKey("layout"))?.toString();
    if (stamp === layoutStamp) return;
    const [first] = this.#store.range({ start: Buffer.of(0), end: Buffer.of(255) }, 1);
    if (stamp === undefined && first === undefined) {
      const writes = [{ key: metaKey("layout"), value: Buffer.from(layoutStamp) }];
      await this.#commit(writes);
      return;
    }
    throw new Error(
      stamp === undefined
        ? `${this.#directory} holds another program's LMDB data: choose another directory`
        : `${this.#directory} was written by another version of Fanfare (${JSON.stringify(stamp)}, this one reads ` +
            `${JSON.stringify(layoutStamp)}): use that version, or begin with an empty directory`,
    );
  }
}
