import { BackendUnavailable, type KeyRef } from "../backend.ts";

/** What an append must know of those before it. */
export interface Before {
  /** Whether it has failed while it waited to be sent. */
  readonly hasFailed: () => boolean;
  /** The newest that has a key, of those in its room that are under way: if that was not kept, this must not be. */
  readonly after: KeyRef | undefined;
}

interface Pending {
  readonly fails: Set<(error: Error) => void>;
  newest: KeyRef | undefined;
}

/**
 * Where one append of a room fails, those that were called before that was told fail with it: else a later message would
 * be acknowledged where an earlier one was lost.
 */
export class Order {
  readonly #rooms = new Map<string, Pending>();

  /** The appends of rooms that are under way, so that a test can see that nothing stays. */
  get size(): number {
    return this.#rooms.size;
  }

  run<T>(room: string, key: KeyRef | undefined, append: (before: Before) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending: Pending = this.#rooms.get(room) ?? { fails: new Set(), newest: undefined };
      const { fails } = pending;
      this.#rooms.set(room, pending);
      const after = pending.newest;
      fails.add(reject);
      if (key !== undefined) pending.newest = key;
      append({ hasFailed: () => !fails.has(reject), after }).then(
        (value) => {
          fails.delete(reject);
          if (pending.newest === key) pending.newest = undefined;
          if (fails.size === 0 && this.#rooms.get(room) === pending) this.#rooms.delete(room);
          resolve(value);
        },
        (error: Error) => {
          if (!fails.has(reject)) return;
          if (this.#rooms.get(room) === pending) this.#rooms.delete(room);
          reject(error);
          fails.delete(reject);
          const behind = new BackendUnavailable("an earlier publish in this room was not kept", { cause: error });
          for (const fail of fails) fail(behind);
          fails.clear();
        },
      );
    });
  }
}
