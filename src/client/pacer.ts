/**
 * Keeps the client's requests under the server's rate (P-63): a bucket a little smaller than the server's, because requests
 * that left apart can arrive together. Refused publishes would cost order and time; paced ones cost only time.
 */
export interface Pacer {
  /** A new connection, with a full bucket. */
  reset(requestsPerS: number, now: number): void;
  /** When `cost` requests may be sent. A cost over the bucket's size is a full bucket. */
  readyAt(cost: number, now: number): number;
  /** Takes them, ready or not: the bucket may go below zero for what cannot wait. */
  spend(cost: number): void;
  /** After `rate_limited`: nothing more until then. */
  pause(until: number): void;
}

export function createPacer(): Pacer {
  let capacity = 0;
  let level = 0;
  let at = 0;
  let pausedUntil = 0;
  return {
    reset(requestsPerS, now) {
      level = capacity = Math.max(1, requestsPerS);
      at = now;
      pausedUntil = 0;
    },
    readyAt(cost, now) {
      const perMs = (capacity * 0.9) / 1_000;
      level = Math.min(capacity, level + (now - at) * perMs);
      at = now;
      const missing = Math.min(cost, capacity) - level;
      // A fraction of a request that rounding left over is not waited for: the wait could round to nothing, for ever.
      return Math.max(pausedUntil, missing > 1e-6 ? now + missing / perMs : 0);
    },
    spend(cost) {
      level -= Math.min(cost, capacity);
    },
    pause(until) {
      pausedUntil = Math.max(pausedUntil, until);
    },
  };
}
