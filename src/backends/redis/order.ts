import { BackendUnavailable } from "../backend.ts";

/**
 * Where one append of a room fails, those that were called before that was told fail with it: else a later message would
 * be acknowledged where an earlier one was lost.
 */
export class Order {
  readonly #rooms = new Map<string, Set<(error: Error) => void>>();

  /** The appends of rooms that are under way, so that a test can see that nothing stays. */
  get size(): number {
    return this.#rooms.size;
  }

  /** `append` is handed a question that it asks before it is sent: whether it has failed while it waited. */
  run<T>(room: string, append: (hasFailed: () => boolean) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending = this.#rooms.get(room) ?? new Set();
      this.#rooms.set(room, pending.add(reject));
      append(() => !pending.has(reject)).then(
        (value) => {
          pending.delete(reject);
          if (pending.size === 0 && this.#rooms.get(room) === pending) this.#rooms.delete(room);
          resolve(value);
        },
        (error: Error) => {
          if (!pending.has(reject)) return;
          if (this.#rooms.get(room) === pending) this.#rooms.delete(room);
          reject(error);
          pending.delete(reject);
          const behind = new BackendUnavailable("an earlier publish in this room was not kept", { cause: error });
          for (const fail of pending) fail(behind);
          pending.clear();
        },
      );
    });
  }
}
