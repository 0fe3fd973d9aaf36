import { Delivered } from "./metrics/counts.ts";
import type { Outbox } from "./outbox.ts";
import type { Flushable, Turn } from "./turn.ts";
import { frameText, frameTexts, type Payload } from "./wire.ts";

/** Whoever listens to a broadcast. */
export interface Listener {
  readonly outbox: Outbox;
}

/**
 * Frames for many listeners, encoded once. What is pushed in one turn becomes one buffer that all listeners share.
 *
 * Order holds against frames that go to one listener alone: whoever sends such a frame calls `settle` first, and the
 * listener's outbox gets all that was pushed before it. Only these listeners pay for it, with a slice of their own.
 */
export class Broadcast<L extends Listener> implements Flushable {
  readonly listeners: Set<L> = new Set();
  readonly #turn: Turn;
  readonly #droppable: boolean;
  readonly #delivered: Delivered;
  #texts: Payload[] = [];
  /** Listeners that have been given, or must not get, the first so many of `#texts`. */
  #given: Map<L, number> = new Map();

  /** `droppable`: a listener whose outbox is congested is passed over (signals, P-34). */
  constructor(turn: Turn, droppable: boolean, delivered: Delivered = new Delivered()) {
    this.#turn = turn;
    this.#droppable = droppable;
    this.#delivered = delivered;
  }

  /** The listener gets what is pushed from now on. */
  add(listener: L): void {
    this.listeners.add(listener);
    if (this.#texts.length > 0) this.#given.set(listener, this.#texts.length);
  }

  /** The listener gets what was pushed so far and nothing more. */
  remove(listener: L): void {
    this.settle(listener);
    this.listeners.delete(listener);
    this.#given.delete(listener);
  }

  /** Hands the listener's outbox what was pushed for it so far. */
  settle(listener: L): void {
    const from = this.#given.get(listener) ?? 0;
    if (from >= this.#texts.length || !this.listeners.has(listener)) return;
    this.#give(listener, frameTexts(this.#texts.slice(from)).bytes, this.#texts.length - from);
    this.#given.set(listener, this.#texts.length);
  }

  /**
   * Sends a text, or bytes that nobody writes to any more, to all listeners; `except` gets `instead` in its place, or
   * nothing.
   */
  push(text: Payload, except?: L, instead?: string): void {
    if (except !== undefined) this.settle(except);
    if (this.#texts.push(text) === 1) this.#turn.addBroadcast(this);
    if (except === undefined || !this.listeners.has(except)) return;
    this.#given.set(except, this.#texts.length);
    if (instead !== undefined) except.outbox.push(frameText(instead));
  }

  flush(): void {
    const texts = this.#texts;
    const given = this.#given;
    if (texts.length === 0) return;
    this.#texts = [];
    if (given.size > 0) this.#given = new Map();
    const { bytes, starts } = frameTexts(texts);
    if (given.size === 0 && !this.#droppable) {
      this.#giveAll(bytes, texts.length);
      return;
    }
    for (const listener of this.listeners) {
      const from = given.get(listener) ?? 0;
      if (from === 0) this.#give(listener, bytes, texts.length);
      else if (from < texts.length) this.#give(listener, bytes.subarray(starts[from]), texts.length - from);
    }
  }

  /** Counted once for all: this is what a message in a large room goes through. */
  #giveAll(bytes: Buffer, frames: number): void {
    for (const listener of this.listeners) listener.outbox.push(bytes);
    this.#delivered.frames += frames * this.listeners.size;
    this.#delivered.bytes += bytes.length * this.listeners.size;
  }

  #give(listener: L, bytes: Buffer, frames: number): void {
    if (this.#droppable && listener.outbox.congested) {
      this.#delivered.dropped += frames;
      return;
    }
    listener.outbox.push(bytes);
    this.#delivered.frames += frames;
    this.#delivered.bytes += bytes.length;
  }
}
