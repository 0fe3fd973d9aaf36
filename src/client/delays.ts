import { closeAction } from "../protocol/codes.ts";
import type { ClientTiming } from "./platform.ts";

/** How long to stay away after a close. */
export interface Delay {
  readonly ms: number;
  /** Asked for by the server, so neither a glance at the page nor a network that is back cuts it short. */
  readonly patient: boolean;
}

/**
 * P-61: the delay before the next attempt, or undefined where there is none. `failures` is the number of failed attempts
 * in a row before this close, `hintMs` what the server asked for (0: nothing), `random` a number from 0 up to 1.
 */
export function delayAfter(
  code: number,
  failures: number,
  hintMs: number,
  random: number,
  timing: ClientTiming,
): Delay | undefined {
  const patient = hintMs > 0;
  const backoff = backoffMs(failures, random, timing);
  const action = closeAction(code);
  switch (action) {
    case "stop":
      return undefined;
    case "wait":
      return { ms: Math.max(hintMs, timing.waitMs * (1 + random)), patient: true };
    case "spread":
      // P-53: the server has spread its hint already; it counts from the close, which is now.
      return { ms: hintMs || Math.max(random * timing.spreadMs, backoff), patient };
    case "token":
    case "resume":
    case "backoff":
      return { ms: Math.max(hintMs, backoff), patient };
    default:
      return action satisfies never;
  }
}

/** Full jitter, from the first retry on: a server that lost a thousand clients at once gets them back spread out. */
export function backoffMs(failures: number, random: number, timing: ClientTiming): number {
  return random * Math.min(timing.maxBackoffMs, timing.backoffMs * 2 ** failures);
}
