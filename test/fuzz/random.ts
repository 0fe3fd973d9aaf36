/** Numbers from a seed: the same seed gives the same case, on every machine. Mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to 2^32-1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** From `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + (this.next() % (high - low + 1));
  }

  chance(of1: number): boolean {
    return this.next() < of1 * 2 ** 32;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.next() % items.length]!;
  }

  /** One of the makers, called. */
  one<T>(makers: readonly (() => T)[]): T {
    return this.pick(makers)();
  }

  list<T>(low: number, high: number, make: (i: number) => T): T[] {
    return Array.from({ length: this.int(low, high) }, (_, i) => make(i));
  }

  bytes(count: number): Buffer {
    const made = Buffer.allocUnsafe(count);
    for (let i = 0; i < count; i++) made[i] = this.next() & 0xff;
    return made;
  }
}

/** A seed of its own for each case of a run. */
export function caseSeed(seed: number, target: string, index: number): number {
  let hash = (seed ^ 0x9e3779b9) >>> 0;
  for (const c of `${target}:${index}`) hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193) >>> 0;
  return new Random(hash).next();
}
