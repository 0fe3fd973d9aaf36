import { type BackendContext, BackendUnavailable } from "../backend.ts";
import type { Api } from "./api.ts";
import type { EngineClock } from "./clock.ts";
import type { Life } from "./life.ts";
import { type Link, NoResponders } from "./link.ts";
import type { Names } from "./names.ts";
import type { Streams } from "./streams.ts";

const firstPauseMs = 20;
const longestPauseMs = 400;

/** What the parts of the backend work with. */
export interface Engine {
  readonly link: Link;
  readonly api: Api;
  readonly names: Names;
  readonly streams: Streams;
  readonly life: Life;
  readonly clock: EngineClock;
  readonly context: BackendContext;
}

/** When a call that is made now gives up, by the monotonic clock. */
export function deadlineOf({ link }: Pick<Engine, "link">): number {
  return performance.now() + link.waitMs;
}

/**
 * Does `work`, again where NATS is away, until it is done or the deadline is near. `work` must be safe to repeat. A
 * stream that is missing is made anew on the way.
 */
export async function untilDone<T>(
  engine: Engine,
  work: () => Promise<T>,
  deadline: number = deadlineOf(engine),
): Promise<T> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    await engine.link.ready(deadline);
    try {
      return await work();
    } catch (error) {
      const isOver = performance.now() + pauseMs + engine.link.requestMs > deadline;
      if (!(error instanceof BackendUnavailable) || isOver) throw error;
      if (error instanceof NoResponders) await engine.life.verify().catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
