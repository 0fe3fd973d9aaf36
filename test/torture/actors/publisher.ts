import type { JsonObject } from "../../../src/protocol/json.ts";
import type { World } from "../world.ts";
import { Device } from "./device.ts";

export interface PublisherOptions {
  readonly name: string;
  readonly room: string;
  readonly perS: number;
  /** Bytes of padding in every message. */
  readonly padBytes?: number;
}

interface Waiting {
  readonly id: string;
  readonly frame: JsonObject;
}

const tickMs = 20;
/** Fewer than what a server lets wait. */
const maxWaiting = 300;
/** Every so many publishes comes one that must be refused: its key was used for another message. */
const conflictEvery = 40;
/** And one with a field that is too long. */
const badEvery = 55;
const answerWithinMs = 8_000;

/**
 * Publishes numbered messages into one room, several at a time, each with a key. Whatever goes wrong, it opens another
 * connection and repeats in order all that was not acknowledged (P-31), for as long as it takes.
 */
export class Publisher {
  readonly #device: Device;
  readonly #options: PublisherOptions;
  readonly #waiting: Waiting[] = [];
  readonly #ticker: NodeJS.Timeout;
  readonly #world: World;
  #due = 0;
  #count = 0;
  #lastAcked: Waiting | undefined;
  #sent = 0;
  #answeredAt = 0;
  #isStopped = false;
  #pausedUntil = 0;

  constructor(world: World, options: PublisherOptions) {
    this.#world = world;
    this.#options = options;
    this.#device = new Device(world, {
      name: options.name,
      user: options.name,
      rooms: [{ room: options.room }],
      frame: (frame) => this.#frame(frame),
      whole: () => (this.#answeredAt = performance.now()),
      broken: () => (this.#sent = 0),
    });
    this.#ticker = setInterval(() => this.#tick(), tickMs);
  }

  get device(): Device {
    return this.#device;
  }

  /** How many publishes have no final answer yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** So many more at once. */
  burst(count: number): void {
    if (!this.#isStopped) this.#due += count;
  }

  /** Nothing new; what waits is still repeated. */
  stop(): void {
    this.#isStopped = true;
    this.#due = 0;
  }

  end(): void {
    clearInterval(this.#ticker);
    this.#device.stop("goodbye");
  }

  #tick(): void {
    if (!this.#isStopped) this.#due += (this.#options.perS * tickMs) / 1000;
    while (this.#due >= 1 && this.#waiting.length < maxWaiting) {
      this.#due--;
      this.#waiting.push(this.#next());
    }
    this.#due = Math.min(this.#due, 2_000);
    if (performance.now() < this.#pausedUntil || !this.#device.isWhole) return;
    while (this.#sent < this.#waiting.length) {
      const next = this.#waiting[this.#sent];
      if (next === undefined || !this.#device.send(next.frame)) return;
      if (this.#sent++ === 0) this.#answeredAt = performance.now();
    }
    // Bounded: a connection that takes frames and never answers is given up before P-52 would.
    if (this.#sent > 0 && performance.now() - this.#answeredAt > answerWithinMs) this.#device.cut(true);
  }

  #next(): Waiting {
    const n = ++this.#count;
    const { name, room, padBytes = 0 } = this.#options;
    const id = `${name}-${n}`;
    const data = { id, pad: "x".repeat(padBytes) };
    const echo = n % 7 !== 0;
    this.#provoke(n);
    return { id, frame: { type: "publish", id, key: id, room, event: "said", data, echo } };
  }

  /** What must be refused is sent once and not repeated; its answer may be lost, and is not waited for. */
  #provoke(n: number): void {
    const { name, room } = this.#options;
    if (n % conflictEvery === 0 && this.#lastAcked !== undefined) {
      const id = `${name}-conflict-${n}`;
      this.#device.send({ type: "publish", id, key: this.#lastAcked.id, room, event: "said", data: { id } });
    }
    if (n % badEvery === 0) {
      const id = `${name}-bad-${n}`;
      this.#device.send({ type: "publish", id, key: id, room, event: "e".repeat(65), data: { id } });
    }
  }

  #frame(frame: JsonObject): void {
    const re = frame["re"];
    const at = this.#waiting.findIndex(({ id }) => id === re);
    if (frame["type"] === "ack" && at !== -1) {
      this.#answeredAt = performance.now();
      [this.#lastAcked] = this.#waiting.splice(at, 1);
      this.#sent--;
    }
    // Whatever was refused and all behind it is published again, in order, over another connection.
    if (frame["type"] === "error" && at !== -1) {
      const pauseMs = typeof frame["retry_after_ms"] === "number" ? frame["retry_after_ms"] : 0;
      this.#pausedUntil = performance.now() + pauseMs + this.#world.random() * 100;
      this.#device.cut(false);
    }
  }
}
