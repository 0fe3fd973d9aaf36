/** Time and timers, handed in so that tests can turn them. */
export interface Clock {
  /** Milliseconds since 1970: for what is told to others and for a token's expiry. */
  readonly now: () => number;
  /** Milliseconds that never jump: for heartbeats, deadlines and rates. */
  readonly monotonic: () => number;
  readonly setTimeout: (run: () => void, ms: number) => unknown;
  readonly clearTimeout: (timer: unknown) => void;
}

/** The real clock. Its timers keep no process alive. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimeout: (run, ms) => setTimeout(run, ms).unref(),
    clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  };
}

/** What the wall clock shows now, and goes on from there by the other one: it does not jump when somebody sets the time. */
export function steadyNow({ now, monotonic }: Pick<Clock, "now" | "monotonic">): () => number {
  const offsetMs = now() - monotonic();
  return () => Math.round(offsetMs + monotonic());
}
