import { closeAction } from "../protocol/codes.ts";
import type { ClientTiming } from "./platform.ts";

export interface Delay {
  readonly ms: number;
  /** Asked for by the server, so that neither a glance at the page nor a network that is back cuts it short. */
  readonly patient: boolean;
}

/**
 * P-61: how long to stay away after a close; undefined: for good. `failures` is the number of failed attempts in a row
 * before this close, `hintMs` what the server asked for (0: nothing), `random` from 0 up to 1.
 */
export function delayAfter(
  code: number,
  failures: number,
  hintMs: number,
  random: number,
  timing: ClientTiming,
): Delay | undefined {
  const action = closeAction(code);
  if (action === "stop") return undefined;
  const patient = hintMs > 0 || action === "wait";
  // P-53: the server has spread its hint already; it counts from the close, which is now.
  if (action === "spread" && patient) return { ms: hintMs, patient };
  let ms = backoffMs(failures, random, timing);
  if (action === "wait") ms = timing.waitMs * (1 + random);
  if (action === "spread") ms = Math.max(random * timing.spreadMs, ms);
  return { ms: Math.max(hintMs, ms), patient };
}

/** Full jitter, from the first retry on: a server that lost a thousand clients at once gets them back spread out. */
export function backoffMs(failures: number, random: number, timing: ClientTiming): number {
  return random * Math.min(timing.maxBackoffMs, timing.backoffMs * 2 ** failures);
}
