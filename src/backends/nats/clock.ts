import { type BackendContext, BackendUnavailable } from "../backend.ts";
import type { Api } from "./api.ts";
import type { Names } from "./names.ts";

/** How far apart two looks at the engine's clock are: clocks drift by milliseconds in that time. */
const measuredMs = 60_000;

/**
 * The time by which keys, facts and rooms expire, on whatever node: that of NATS, by which it dates what it keeps. A
 * node's own clock may be wrong, or jump; from one look at the engine's to the next only what went by is counted.
 */
export class EngineClock {
  readonly #api: Api;
  readonly #names: Names;
  readonly #steady: () => number;
  #aheadMs: number | undefined;
  #measuredAt = -Infinity;

  constructor(api: Api, names: Names, { now, steadyNow = now }: BackendContext) {
    this.#api = api;
    this.#names = names;
    this.#steady = steadyNow;
  }

  /** Milliseconds since 1970. Throws `BackendUnavailable` before the first `measure`. */
  now(): number {
    if (this.#aheadMs === undefined) throw new BackendUnavailable("the nats backend is not open");
    return this.#steady() + this.#aheadMs;
  }

  /** Asks for the engine's time: it dates what is written now. Right to within what the two requests take. */
  async measure(): Promise<void> {
    const before = this.#steady();
    await this.#api.publish(this.#names.clock, "");
    const stored = await this.#api.last(this.#names.brief, this.#names.clock);
    const time = Date.parse(stored?.time ?? "");
    if (Number.isNaN(time)) throw new BackendUnavailable("NATS tells no time");
    this.#aheadMs = time - before;
    this.#measuredAt = performance.now();
  }

  async measureWhereDue(): Promise<void> {
    if (performance.now() - this.#measuredAt >= measuredMs) await this.measure();
  }
}
