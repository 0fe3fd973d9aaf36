import type { ClientFrame } from "../protocol/frames.ts";

/** P-63: the bucket holds two seconds' worth. */
const burstS = 2;
const historyCost = 10;
/** P-63: a connection that keeps on for so long is closed. */
const floodMs = 10_000;
/** A streak of refusals ends when none came for this long. */
const streakPauseMs = 2_000;
/** A streak of so many refusals is flooding too, however short: answering them is work. */
const floodRefusals = 50_000;

export type Verdict = { kind: "pass" } | { kind: "refuse"; retryAfterMs: number } | { kind: "flooding" };

const pass: Verdict = { kind: "pass" };

/** The rate of one connection's requests (P-63): a bucket that fills with time. Times are monotonic milliseconds. */
export class Rate {
  readonly #perS: number;
  #tokens: number;
  #filledAt: number;
  #freeJoins: number;
  /** Publishes are refused until then, so that none overtakes one that was refused. */
  #publishesFrom = 0;
  #streakSince = 0;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #refusals = 0;

  constructor(perS: number, freeJoins: number, now: number) {
    this.#perS = perS;
    this.#tokens = perS * burstS;
    this.#filledAt = now;
    this.#freeJoins = freeJoins;
  }

  /** `frame` undefined: one that could not be read; it counts as a request too. */
  take(frame: ClientFrame | undefined, now: number): Verdict {
    if (frame?.type === "pong") return pass;
    if (frame?.type === "join" && this.#freeJoins > 0) {
      this.#freeJoins--;
      return pass;
    }
    this.#tokens = Math.min(this.#perS * burstS, this.#tokens + ((now - this.#filledAt) * this.#perS) / 1_000);
    this.#filledAt = now;
    // A bucket smaller than the cost still lets a full one's worth through, or history could never be read.
    const cost = frame?.type === "history" ? Math.min(historyCost, this.#perS * burstS) : 1;
    const held = frame?.type === "publish" && now < this.#publishesFrom;
    if (this.#tokens >= cost && !held) {
      this.#tokens -= cost;
      return pass;
    }
    return this.#refuse(frame, cost, now);
  }

  /** Whether more than a burst's worth was refused without a pause. */
  isFlooded(now: number): boolean {
    return now - this.#refusedAt <= streakPauseMs && this.#refusals > this.#perS * burstS;
  }

  #refuse(frame: ClientFrame | undefined, cost: number, now: number): Verdict {
    if (now - this.#refusedAt > streakPauseMs) {
      this.#streakSince = now;
      this.#refusals = 0;
    }
    this.#refusedAt = now;
    if (now - this.#streakSince >= floodMs || ++this.#refusals > floodRefusals) return { kind: "flooding" };
    const wait = Math.max(0, Math.ceil(((cost - this.#tokens) * 1_000) / this.#perS));
    if (frame?.type !== "publish") return { kind: "refuse", retryAfterMs: Math.max(1, wait) };
    if (now >= this.#publishesFrom) this.#publishesFrom = now + Math.max(1, wait);
    return { kind: "refuse", retryAfterMs: Math.max(1, Math.ceil(this.#publishesFrom - now)) };
  }
}
