import type { Clock } from "../../../src/server/clock.ts";

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that stands still until a test turns it. Timers run inside `advance`, each at its own moment. */
export class FakeClock implements Clock {
  #wallMs = 1_750_000_000_000;
  #monotonicMs = 0;
  #nextId = 1;
  readonly #timers = new Map<number, Timer>();

  readonly now = (): number => this.#wallMs;
  readonly monotonic = (): number => this.#monotonicMs;

  readonly setTimeout = (run: () => void, ms: number): unknown => {
    this.#timers.set(this.#nextId, { at: this.#monotonicMs + ms, run });
    return this.#nextId++;
  };

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers.delete(timer as number);
  };

  /** Timers that are set and have not run. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Time goes by on both clocks. */
  advance(ms: number): void {
    const end = this.#monotonicMs + ms;
    for (let next = this.#earliest(end); next !== undefined; next = this.#earliest(end)) {
      const [id, timer] = next;
      this.#timers.delete(id);
      this.#move(Math.max(0, timer.at - this.#monotonicMs));
      timer.run();
    }
    this.#move(end - this.#monotonicMs);
  }

  /** The wall clock is set to another time; no time goes by. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  #earliest(end: number): [number, Timer] | undefined {
    let found: [number, Timer] | undefined;
    for (const entry of this.#timers) {
      if (entry[1].at <= end && (found === undefined || entry[1].at < found[1].at)) found = entry;
    }
    return found;
  }

  #move(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
  }
}
