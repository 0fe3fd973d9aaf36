import { closeAction } from "../protocol/codes.ts";
import type { ClientTiming } from "./platform.ts";

/**
 * P-61: how long to stay away after a close, in milliseconds; undefined: for good. `failures` is the number of failed
 * attempts in a row before this close, `hintMs` what the server asked for (0: nothing), `random` from 0 up to 1.
 */
export function delayAfter(
  code: number,
  failures: number,
  hintMs: number,
  random: number,
  timing: ClientTiming,
): number | undefined {
  const backoff = backoffMs(failures, random, timing);
  const action = closeAction(code);
  switch (action) {
    case "stop":
      return undefined;
    case "wait":
      return Math.max(hintMs, timing.waitMs * (1 + random));
    case "spread":
      // P-53: the server has spread its hint already; it counts from the close, which is now.
      return hintMs || Math.max(random * timing.spreadMs, backoff);
    case "token":
    case "resume":
    case "backoff":
      return Math.max(hintMs, backoff);
    default:
      return action satisfies never;
  }
}

/** Whether a close asks for patience, so that neither a glance at the page nor a network that is back cuts it short. */
export function isPatient(code: number, hintMs: number): boolean {
  return hintMs > 0 || closeAction(code) === "wait";
}

/** Full jitter, from the first retry on: a server that lost a thousand clients at once gets them back spread out. */
export function backoffMs(failures: number, random: number, timing: ClientTiming): number {
  return random * Math.min(timing.maxBackoffMs, timing.backoffMs * 2 ** failures);
}
