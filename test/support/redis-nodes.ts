import type { Jump, LogEntry, RoomRef, Subscription } from "../../src/backends/backend.ts";
import { BackendUnavailable } from "../../src/backends/backend.ts";
import { RedisBackend, type RedisBackendOptions } from "../../src/backends/redis/index.ts";

/** Several processes' backends on one Redis, in this process. */
export class RedisNodes {
  readonly prefix: string;
  readonly #nodes: RedisBackend[] = [];
  readonly logged: string[] = [];

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  async open(url: string, options: RedisBackendOptions = {}): Promise<RedisBackend> {
    const node = new RedisBackend({ url, prefix: this.prefix, ...options });
    await node.open({ now: Date.now, log: (level, message) => void this.logged.push(`${level}: ${message}`) });
    this.#nodes.push(node);
    return node;
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.splice(0).map((node) => node.close()));
  }
}

/** Everything that one listener was told, in order. */
export type Told = LogEntry | Jump | { readonly text: string } | "interrupted";

export class Witness {
  readonly told: Told[] = [];
  /** Every message as a member would know it: its epoch, offset and body. */
  readonly names: string[] = [];
  #epoch = "";
  #subscription: Subscription | undefined;
  readonly #waiting: (() => void)[] = [];

  static async of(node: RedisBackend, room: RoomRef): Promise<Witness> {
    const witness = new Witness();
    witness.#subscription = await node.subscribe(room, {
      appended: (entry) => {
        witness.names.push(`${witness.#epoch}:${entry.offset}=${entry.body}`);
        witness.#tell(entry);
      },
      relayed: (text) => witness.#tell({ text }),
      jumped: (to) => {
        witness.#epoch = to.epoch;
        witness.#tell(to);
      },
      interrupted: () => witness.#tell("interrupted"),
    });
    witness.#epoch = witness.#subscription.state.epoch;
    return witness;
  }

  get subscription(): Subscription {
    if (this.#subscription === undefined) throw new Error("not subscribed");
    return this.#subscription;
  }

  get entries(): LogEntry[] {
    return this.told.filter((each): each is LogEntry => typeof each === "object" && "body" in each);
  }

  get bodies(): string[] {
    return this.entries.map(({ body }) => body);
  }

  get jumps(): Jump[] {
    return this.told.filter((each): each is Jump => typeof each === "object" && "reason" in each);
  }

  /** Resolves as soon as it is so; asks whenever something was told. Rejects after `ms`. */
  async until(isSo: () => boolean, ms = 10_000): Promise<void> {
    const end = performance.now() + ms;
    while (!isSo()) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`not told within ${ms} ms; told: ${JSON.stringify(this.told).slice(-1_000)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #tell(what: Told): void {
    this.told.push(what);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Tries again while the backend is unavailable, with the same key as a publisher does; at most 20 s. */
export async function insist<T>(publish: () => Promise<T>): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    try {
      return await publish();
    } catch (error) {
      if (!(error instanceof BackendUnavailable) || performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
