/** After a break that is nobody's choice, an EventSource comes back after this at the earliest (P-72). */
export const breakMs = 1_000;
/** After a cause that passes by itself. */
export const backoffMs = 5_000;
/** After one that says to wait long, or to stop (P-61). */
export const waitMs = 30_000;

/** From `leastMs` up to three times that, so that those who were sent away together do not come back together. */
export function spread(leastMs: number, random: () => number): number {
  return Math.floor(leastMs * (1 + 2 * random()));
}
