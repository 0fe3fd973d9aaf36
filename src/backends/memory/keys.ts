import type { KeyFacts, KeyRef } from "../backend.ts";

/** What a publish with a key left behind. */
export interface KeptKey {
  readonly offset: number;
  readonly fingerprint: string;
  readonly resultJson: string | undefined;
  readonly until: number;
}

/**
 * The keys of one room (P-31), each for at least its `dedupeMs`. There are as many as publishes with keys came within
 * that time: the hub's limit on requests bounds them.
 */
export class MemoryKeys {
  readonly #keys = new Map<string, KeptKey>();

  get size(): number {
    return this.#keys.size;
  }

  get({ scope, key }: KeyRef, now: number): KeptKey | undefined {
    const kept = this.#keys.get(nameOf(scope, key));
    return kept !== undefined && kept.until > now ? kept : undefined;
  }

  set({ scope, key, fingerprint, resultJson, dedupeMs }: KeyRef & KeyFacts, offset: number, now: number): void {
    const name = nameOf(scope, key);
    // The Map's order is the order of expiry only if a key that is used again moves to its end.
    this.#keys.delete(name);
    this.#keys.set(name, { offset, fingerprint, resultJson, until: now + dedupeMs });
  }

  /** Forgets from the oldest on and stops at the first that still counts. */
  dropExpired(now: number): void {
    for (const [name, kept] of this.#keys) {
      if (kept.until > now) return;
      this.#keys.delete(name);
    }
  }
}

function nameOf(scope: string, key: string): string {
  return `${scope.length}:${scope}${key}`;
}
