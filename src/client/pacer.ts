/**
 * Keeps the client's requests under the server's rate (P-63): a bucket a little smaller than the server's, because requests
 * that left apart can arrive together. Refused publishes would cost order and time; paced ones cost only time.
 */
export class Pacer {
  #perMs = 0;
  #capacity = 0;
  #level = 0;
  #at = 0;
  #pausedUntil = 0;

  /** A new connection, with a full bucket. */
  reset(requestsPerS: number, now: number): void {
    this.#capacity = Math.max(1, requestsPerS);
    this.#perMs = (this.#capacity * 0.9) / 1_000;
    this.#level = this.#capacity;
    this.#at = now;
    this.#pausedUntil = 0;
  }

  /** Takes `cost` requests, or tells that now is too early. A cost over the bucket's size is a full bucket. */
  take(cost: number, now: number): boolean {
    if (now < this.readyAt(cost, now)) return false;
    this.spend(cost);
    return true;
  }

  /** For what cannot wait: the bucket may go below zero. */
  spend(cost: number): void {
    this.#level -= Math.min(cost, this.#capacity);
  }

  /** After `rate_limited`: nothing more until then. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until);
  }

  /** When `take` will say yes, if nothing else is taken before. */
  readyAt(cost: number, now: number): number {
    this.#level = Math.min(this.#capacity, this.#level + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
    const missing = Math.min(cost, this.#capacity) - this.#level;
    return Math.max(this.#pausedUntil, missing > 1e-9 ? now + missing / this.#perMs : now);
  }
}
