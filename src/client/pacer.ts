/**
 * Keeps the client's requests under the server's rate (P-63): a bucket a little smaller than the server's, because requests
 * that left apart can arrive together. Refused publishes would cost order and time; paced ones cost only time.
 */
export class Pacer {
  #capacity = 0;
  #level = 0;
  #at = 0;
  #pausedUntil = 0;

  /** A new connection, with a full bucket. */
  reset(requestsPerS: number, now: number): void {
    this.#level = this.#capacity = Math.max(1, requestsPerS);
    this.#at = now;
    this.#pausedUntil = 0;
  }

  /** When `cost` requests may be sent. A cost over the bucket's size is a full bucket. */
  readyAt(cost: number, now: number): number {
    const perMs = (this.#capacity * 0.9) / 1_000;
    this.#level = Math.min(this.#capacity, this.#level + (now - this.#at) * perMs);
    this.#at = now;
    const missing = Math.min(cost, this.#capacity) - this.#level;
    // A fraction of a request that rounding left over is not waited for: the wait could round to nothing, for ever.
    return Math.max(this.#pausedUntil, missing > 1e-6 ? now + missing / perMs : 0);
  }

  /** Takes them, ready or not: the bucket may go below zero for what cannot wait. */
  spend(cost: number): void {
    this.#level -= Math.min(cost, this.#capacity);
  }

  /** After `rate_limited`: nothing more until then. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until);
  }
}
