import { open, type RootDatabase } from "lmdb";
import { BackendUnavailable } from "../backend.ts";
import type { KeyRange } from "./layout.ts";

/** One change: a value to put, or none to remove what is there. */
export interface Write {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

export interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
}

/**
 * The ordered map in its file. Reading sees all that was committed; writing is `commit` alone.
 *
 * A commit is LMDB's own, in its plain order: pages, fdatasync, then the root through a file opened with O_DSYNC. lmdb-js
 * calls that `overlappingSync: false`; its default returns before the data is on disk. It runs on a thread of libuv's
 * pool, so that a slow disk does not hold up the event loop.
 */
export class Store {
  readonly #path: string;
  #db: RootDatabase<Buffer, Buffer> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get isOpen(): boolean {
    return this.#db !== undefined;
  }

  open(): void {
    this.#db = open<Buffer, Buffer>({
      path: this.#path,
      // lmdb-js would take a directory with a dot in its name for a file.
      noSubdir: false,
      overlappingSync: false,
      encoding: "binary",
      keyEncoding: "binary",
      maxDbs: 1,
    });
  }

  async close(): Promise<void> {
    const db = this.#db;
    this.#db = undefined;
    await db?.close();
  }

  get(key: Buffer): Buffer | undefined {
    const value = this.#opened().get(key);
    return value && asBuffer(value);
  }

  /** In the order of the keys. Read it to its end at once: it looks at what was committed at the first step. */
  *range({ start, end }: KeyRange, limit: number): Generator<Row> {
    for (const { key, value } of this.#opened().getRange({ start, end, limit })) {
      yield { key: asBuffer(key), value: asBuffer(value) };
    }
  }

  /** The last row of a range. */
  last({ start, end }: KeyRange): Row | undefined {
    for (const { key, value } of this.#opened().getRange({ start: end, end: start, reverse: true, limit: 2 })) {
      // Turned around, the range includes `end` and leaves out `start`.
      if (asBuffer(key).compare(end) < 0) return { key: asBuffer(key), value: asBuffer(value) };
    }
    const first = this.get(start);
    return first && { key: start, value: first };
  }

  /** All or none. Rejects with LMDB's own error, after which nobody may use the store until it was closed and opened. */
  async commit(writes: readonly Write[]): Promise<void> {
    const db = this.#opened();
    try {
      await db.batch(() => {
        for (const { key, value } of writes) void (value === undefined ? db.remove(key) : db.put(key, value));
      });
    } catch (error) {
      throw await causeOf(error);
    }
  }

  #opened(): RootDatabase<Buffer, Buffer> {
    if (this.#db === undefined) throw new BackendUnavailable("the lmdb backend is not open");
    return this.#db;
  }
}

/** lmdb-js rejects with a general error and tells the cause by a second promise, which nobody else would listen to. */
async function causeOf(error: unknown): Promise<unknown> {
  const cause = (error as { commitError?: Promise<unknown> }).commitError;
  try {
    await cause;
  } catch (inner) {
    return inner;
  }
  return error;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
