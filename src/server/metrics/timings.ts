/** Upper bounds of the buckets, in seconds: from a log in memory to a disk that hangs. */
export const timingBoundsS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** How long something took, in buckets: a histogram as plain numbers. */
export class Timings {
  /** How many fell into each bucket alone; the last one is beyond all bounds. */
  readonly buckets: number[] = Array.from({ length: timingBoundsS.length + 1 }, () => 0);
  count = 0;
  sumS = 0;

  add(ms: number): void {
    const seconds = ms / 1_000;
    const found = timingBoundsS.findIndex((bound) => seconds <= bound);
    const at = found === -1 ? timingBoundsS.length : found;
    this.buckets[at] = (this.buckets[at] ?? 0) + 1;
    this.count++;
    this.sumS += seconds;
  }
}
