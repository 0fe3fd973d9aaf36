import type { ClientFrame } from "../protocol/frames.ts";

/** P-63: the bucket holds two seconds' worth. */
const burstS = 2;
/** P-63: what a page of history counts for. */
export const historyCost = 10;
/** P-63: a connection that keeps on for so long is closed. */
const floodMs = 10_000;
/** A streak of refusals ends when none came for this long. */
const streakPauseMs = 2_000;
/** A streak of so many refusals is flooding too, however short: answering them is work. */
const floodRefusals = 50_000;

export type Verdict =
  /** `shared` is what it costs the user, address and others that have a rate together. */
  | { kind: "pass"; shared: number }
  | { kind: "refuse"; by: "connection" | "held"; retryAfterMs: number }
  | { kind: "flooding" };

const free: Verdict = { kind: "pass", shared: 0 };
const one: Verdict = { kind: "pass", shared: 1 };
/** What keeps a connection alive or takes it out of a room must not fail because of what another one does. */
const ownAffairs: ReadonlySet<string> = new Set(["ping", "auth", "leave"]);

/** The rate of one connection's requests (P-63): a bucket that fills with time. Times are monotonic milliseconds. */
export class Rate {
  readonly #perS: number;
  #tokens: number;
  #filledAt: number;
  #freeJoins: number;
  /** Publishes are refused until then, so that none overtakes one that was refused. */
  #publishesFrom = 0;
  /** The same for one that a shared rate refused. */
  #heldUntil = 0;
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
    if (frame?.type === "pong") return free;
    if (frame?.type === "join" && this.#freeJoins > 0) {
      this.#freeJoins--;
      return free;
    }
    this.#tokens = Math.min(this.#perS * burstS, this.#tokens + ((now - this.#filledAt) * this.#perS) / 1_000);
    this.#filledAt = now;
    // A bucket smaller than the cost still lets a full one's worth through, or history could never be read.
    const cost = frame?.type === "history" ? Math.min(historyCost, this.#perS * burstS) : 1;
    const held = frame?.type === "publish" && now < this.#publishesFrom;
    if (this.#tokens >= cost && !held) {
      this.#tokens -= cost;
      // Not counted as flooding: it is another's doing as well. Whoever keeps on runs out of this bucket soon.
      if (frame?.type === "publish" && now < this.#heldUntil) {
        return { kind: "refuse", by: "held", retryAfterMs: Math.ceil(this.#heldUntil - now) };
      }
      if (frame !== undefined && ownAffairs.has(frame.type)) return free;
      return frame?.type === "history" ? { kind: "pass", shared: historyCost } : one;
    }
    return this.#refuse(frame, cost, now);
  }

  /** A publish was refused by a rate that is shared: none passes for `ms`, so that none overtakes another. */
  hold(ms: number, now: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, now + ms);
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
    if (frame?.type !== "publish") return { kind: "refuse", by: "connection", retryAfterMs: Math.max(1, wait) };
    if (now >= this.#publishesFrom) this.#publishesFrom = now + Math.max(1, wait);
    const retryAfterMs = Math.max(1, Math.ceil(this.#publishesFrom - now));
    return { kind: "refuse", by: "connection", retryAfterMs };
  }
}
