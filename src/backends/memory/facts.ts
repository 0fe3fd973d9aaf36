import { checkFactKey } from "../fact-key.ts";

interface Fact {
  readonly value: string;
  readonly until: number;
}

/** Small facts with an expiry. Those that nobody asks for are forgotten by `sweep`. */
export class MemoryFacts {
  readonly #facts = new Map<string, Fact>();

  get size(): number {
    return this.#facts.size;
  }

  set(key: string, value: string, until: number): void {
    checkFactKey(key);
    this.#facts.set(key, { value, until });
  }

  get(key: string, now: number): string | undefined {
    checkFactKey(key);
    const fact = this.#facts.get(key);
    return fact !== undefined && fact.until > now ? fact.value : undefined;
  }

  take(key: string, now: number): string | undefined {
    const value = this.get(key, now);
    this.#facts.delete(key);
    return value;
  }

  sweep(now: number): void {
    for (const [key, fact] of this.#facts) if (fact.until <= now) this.#facts.delete(key);
  }
}
