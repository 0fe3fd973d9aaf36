/** The bucket holds two seconds' worth, as that of requests does (P-63). */
const burstS = 2;
/** Who is ahead by more than this is closed. */
const floodS = 10;

/** The rate of one endpoint connection's messages. Times are monotonic milliseconds. */
export class Allowance {
  readonly #perS: number;
  #tokens: number;
  #filledAt: number;

  constructor(perS: number, now: number) {
    this.#perS = perS;
    this.#tokens = perS * burstS;
    this.#filledAt = now;
  }

  /** Counts a message that was read, and tells for how long no more should be; undefined: it is a flood. */
  take(now: number): number | undefined {
    const filled = this.#tokens + ((now - this.#filledAt) * this.#perS) / 1_000;
    this.#tokens = Math.min(this.#perS * burstS, filled) - 1;
    this.#filledAt = now;
    if (this.#tokens >= 0) return 0;
    return -this.#tokens > this.#perS * floodS ? undefined : Math.ceil((-this.#tokens * 1_000) / this.#perS);
  }
}
