import type { RoomRef } from "../backend.ts";
import type { Feed } from "../feed/feed.ts";

/** How long a message that is kept may be on its way here before the log is read for it. */
const patienceMs = 100;

interface Waiting {
  readonly epoch: string;
  readonly offset: number;
  readonly done: () => void;
}

/** Lets an append wait until the listeners of its own node were told. */
export class Told {
  readonly #feedOf: (room: string) => Feed | undefined;
  readonly #waiting = new Map<string, Set<Waiting>>();

  constructor(feedOf: (room: string) => Feed | undefined) {
    this.#feedOf = feedOf;
  }

  /** Never rejects: where the log cannot be read now, the feed comes to it later. */
  wait({ name }: RoomRef, epoch: string, offset: number): Promise<void> {
    const feed = this.#feedOf(name);
    if (feed?.position === undefined || hasTold(feed, epoch, offset)) return Promise.resolve();
    return new Promise((resolve) => {
      const all = this.#waiting.get(name) ?? new Set();
      this.#waiting.set(name, all);
      const done = (): void => {
        clearTimeout(timer);
        all.delete(waiting);
        if (all.size === 0 && this.#waiting.get(name) === all) this.#waiting.delete(name);
        resolve();
      };
      const waiting: Waiting = { epoch, offset, done };
      const timer = setTimeout(() => {
        feed.sync().then(done, done);
      }, patienceMs);
      all.add(waiting);
    });
  }

  /** The room's feed may have told more. */
  look(room: string): void {
    const feed = this.#feedOf(room);
    for (const { epoch, offset, done } of this.#waiting.get(room) ?? []) {
      if (feed === undefined || hasTold(feed, epoch, offset)) done();
    }
  }
}

function hasTold({ position }: Feed, epoch: string, offset: number): boolean {
  return position !== undefined && position.epoch === epoch && position.offset >= offset;
}
