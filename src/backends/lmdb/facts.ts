import type { BackendContext } from "../backend.ts";
import { checkFactKey } from "../fact-key.ts";
import { clampTime, factExpiryKey, factKey, factNameOf, facts, factsExpiredAt, nameOfFactExpiry } from "./layout.ts";
import { decodeFact, encodeFact, type FactRecord } from "./records.ts";
import { damaged } from "./room.ts";
import type { Store, Write } from "./store.ts";
import type { Writer } from "./writer.ts";

/** A fact on its way to the disk; `fact` is undefined where it is being taken. */
interface UnderWay {
  readonly fact: FactRecord | undefined;
}

/** Small facts with an expiry. */
export class Facts {
  readonly #store: Store;
  readonly #writer: Writer;
  readonly #now: BackendContext["now"];
  /** What is on its way: two takers at once must not both find what is on disk. */
  readonly #underWay = new Map<string, UnderWay>();
  /** Every name on disk: most questions are for what is not there, one at every connect. */
  readonly #names: Set<string>;

  constructor(store: Store, writer: Writer, now: BackendContext["now"]) {
    this.#store = store;
    this.#writer = writer;
    this.#now = now;
    this.#names = new Set(Array.from(store.range(facts, Number.MAX_SAFE_INTEGER), ({ key }) => factNameOf(key)));
  }

  async set(name: string, value: string, ttlMs: number): Promise<void> {
    checkFactKey(name);
    const key = factKey(name);
    const fact = { value, until: clampTime(this.#now() + ttlMs) };
    const writes = [
      { key, value: encodeFact(key, fact) },
      { key: factExpiryKey(fact.until, name), value: Buffer.of(0) },
    ];
    await this.#write(name, { fact }, writes);
  }

  get(name: string): string | undefined {
    checkFactKey(name);
    const fact = this.#current(name);
    return fact !== undefined && fact.until > this.#now() ? fact.value : undefined;
  }

  async take(name: string): Promise<string | undefined> {
    const value = this.get(name);
    if (value === undefined) return undefined;
    await this.#write(name, { fact: undefined }, [{ key: factKey(name), value: undefined }]);
    return value;
  }

  /** Adds the removal of up to `limit` facts whose time is over; tells whether it came to the limit. */
  sweep(writes: Write[], limit: number): boolean {
    const now = this.#now();
    let done = 0;
    for (const { key } of this.#store.range(factsExpiredAt(now), limit)) {
      const name = nameOfFactExpiry(key);
      // Removing it now would come after a new value that is on its way. Its row stays for the next sweep.
      if (this.#underWay.has(name)) continue;
      writes.push({ key, value: undefined });
      done++;
      const factAt = factKey(name);
      const value = this.#store.get(factAt);
      const fact = value && decodeFact(factAt, value);
      // It may have been written over with a later expiry: then it has another row.
      if (fact === undefined || fact.until > now) continue;
      writes.push({ key: factAt, value: undefined });
      this.#names.delete(name);
    }
    return done === limit;
  }

  #current(name: string): FactRecord | undefined {
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return underWay.fact;
    if (!this.#names.has(name)) return undefined;
    const key = factKey(name);
    const value = this.#store.get(key);
    if (value === undefined) return undefined;
    const fact = decodeFact(key, value);
    if (fact === undefined) throw damaged("a fact");
    return fact;
  }

  #write(name: string, underWay: UnderWay, writes: Write[]): Promise<void> {
    this.#writer.checkRoom();
    this.#underWay.set(name, underWay);
    const settled = (): void => {
      if (this.#underWay.get(name) === underWay) this.#underWay.delete(name);
    };
    return new Promise((resolve, reject) => {
      this.#writer.add({
        writes,
        done: () => {
          settled();
          if (underWay.fact === undefined) this.#names.delete(name);
          else this.#names.add(name);
          resolve();
        },
        failed: (error) => {
          settled();
          reject(error);
        },
      });
    });
  }
}
