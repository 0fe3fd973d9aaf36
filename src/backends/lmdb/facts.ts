import type { BackendContext } from "../backend.ts";
import { clampTime, factExpiryKey, factKey, factOfExpiry, factsExpiredAt, hashOf } from "./layout.ts";
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
  /** What is on its way, by the key's hash: two takers at once must not both find what is on disk. */
  readonly #underWay = new Map<string, UnderWay>();

  constructor(store: Store, writer: Writer, now: BackendContext["now"]) {
    this.#store = store;
    this.#writer = writer;
    this.#now = now;
  }

  async set(name: string, value: string, ttlMs: number): Promise<void> {
    const hash = hashOf(name);
    const key = factKey(hash);
    const fact = { value, until: clampTime(this.#now() + ttlMs) };
    const writes = [
      { key, value: encodeFact(key, fact) },
      { key: factExpiryKey(fact.until, hash), value: Buffer.of(0) },
    ];
    await this.#write(hash, { fact }, writes);
  }

  get(name: string): string | undefined {
    const fact = this.#current(name);
    return fact !== undefined && fact.until > this.#now() ? fact.value : undefined;
  }

  async take(name: string): Promise<string | undefined> {
    const value = this.get(name);
    if (value === undefined) return undefined;
    const hash = hashOf(name);
    await this.#write(hash, { fact: undefined }, [{ key: factKey(hash), value: undefined }]);
    return value;
  }

  /** Adds the removal of up to `limit` facts whose time is over; tells whether it came to the limit. */
  sweep(writes: Write[], limit: number): boolean {
    const now = this.#now();
    let done = 0;
    for (const { key } of this.#store.range(factsExpiredAt(now), limit)) {
      const factAt = factOfExpiry(key);
      // Removing it now would come after a new value that is on its way. Its row stays for the next sweep.
      if (this.#underWay.has(textOf(factAt.subarray(1)))) continue;
      writes.push({ key, value: undefined });
      done++;
      const value = this.#store.get(factAt);
      const fact = value && decodeFact(factAt, value);
      // It may have been written over with a later expiry: then it has another row.
      if (fact !== undefined && fact.until <= now) writes.push({ key: factAt, value: undefined });
    }
    return done === limit;
  }

  #current(name: string): FactRecord | undefined {
    const hash = hashOf(name);
    const underWay = this.#underWay.get(textOf(hash));
    if (underWay !== undefined) return underWay.fact;
    const key = factKey(hash);
    const value = this.#store.get(key);
    if (value === undefined) return undefined;
    const fact = decodeFact(key, value);
    if (fact === undefined) throw damaged("a fact");
    return fact;
  }

  #write(hash: Buffer, underWay: UnderWay, writes: Write[]): Promise<void> {
    this.#writer.checkRoom();
    const name = textOf(hash);
    this.#underWay.set(name, underWay);
    const settled = (): void => {
      if (this.#underWay.get(name) === underWay) this.#underWay.delete(name);
    };
    return new Promise((resolve, reject) => {
      this.#writer.add({
        writes,
        done: () => {
          settled();
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

function textOf(hash: Buffer): string {
  return hash.toString("latin1");
}
