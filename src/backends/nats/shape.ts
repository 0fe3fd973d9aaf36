import type { Keep } from "../../protocol/contract.ts";
import type { Stamp } from "./record.ts";

export interface Shaped {
  readonly seq: number;
  readonly stamp: Stamp | undefined;
}

/** One message's place among its room's. */
export interface Place {
  readonly offset: number;
  readonly prev: number;
}

/**
 * Which sequences of the stream are the messages of one life of one room, and when they were sent: numbers with holes
 * need it to tell how many lie between two of them, which one comes before another, and what is trimmed.
 */
export class Shape {
  readonly life: string;
  /** The newest sequence of the room's subject that is in here. */
  top = 0;
  /** The offset before the first message: 0 for a log that has its birth, else the oldest message that is left. */
  #base: number | undefined;
  readonly #seqs: number[] = [];
  readonly #ats: number[] = [];

  constructor(life: string) {
    this.life = life;
  }

  add({ seq, stamp }: Shaped): void {
    if (seq <= this.top) return;
    this.top = seq;
    // Of an earlier life of the room, about to be purged.
    if (stamp?.life !== this.life) return;
    if (stamp.kind === "mark") this.#base ??= stamp.head;
    else if (this.#base === undefined) this.#base = seq;
    else {
      this.#seqs.push(seq);
      this.#ats.push(stamp.at);
    }
  }

  get size(): number {
    return this.#seqs.length;
  }

  /** Drops the oldest that are over `most`. */
  prune(most: number): void {
    const over = this.#seqs.length - most;
    if (over <= 0) return;
    this.#base = this.#seqs[over - 1];
    this.#seqs.splice(0, over);
    this.#ats.splice(0, over);
  }

  /** As in `LogState`. */
  trimmed(keep: Keep, now: number): number {
    return this.#offsetBefore(this.#start(keep, now));
  }

  /** Up to `limit` places after an offset, oldest first. */
  after(offset: number, limit: number, keep: Keep, now: number): Place[] {
    const from = Math.max(this.#start(keep, now), this.#above(offset));
    return this.#places(from, Math.min(this.#seqs.length, from + limit));
  }

  /** The newest `limit` places before an offset, oldest first. */
  before(offset: number, limit: number, keep: Keep, now: number): Place[] {
    const to = this.#above(offset - 1);
    return this.#places(Math.max(this.#start(keep, now), to - limit), to);
  }

  /** The newest offset that is not over this one; where all up to there are gone, the one before the first that is left. */
  upTo(offset: number): number {
    return this.#offsetBefore(this.#above(offset));
  }

  count(after: number, upTo: number, keep: Keep, now: number): number {
    return Math.max(0, this.#above(upTo) - Math.max(this.#start(keep, now), this.#above(after)));
  }

  /** How many are too many or too old; from the oldest on, up to the first that is not. */
  #start({ messages, ms }: Keep, now: number): number {
    let start = Math.max(0, this.#seqs.length - messages);
    while (start < this.#seqs.length && (this.#ats[start] ?? 0) < now - ms) start++;
    return start;
  }

  #offsetBefore(index: number): number {
    return index === 0 ? (this.#base ?? 0) : (this.#seqs[index - 1] ?? 0);
  }

  #places(from: number, to: number): Place[] {
    return this.#seqs
      .slice(from, Math.max(from, to))
      .map((offset, i) => ({ offset, prev: this.#offsetBefore(from + i) }));
  }

  /** The index of the first that is over `offset`. */
  #above(offset: number): number {
    let low = 0;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#seqs[middle] ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
