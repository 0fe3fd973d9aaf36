import type { Calls } from "./calls.ts";
import type { Names } from "./layout.ts";

const longestKeyBytes = 1_000;

/** Small facts with an expiry, a key each. A value begins with the time when it is void, for clocks that tests turn. */
export class Facts {
  readonly #calls: Calls;
  readonly #names: Names;
  readonly #now: () => number | undefined;

  constructor(calls: Calls, names: Names, now: () => number | undefined) {
    this.#calls = calls;
    this.#names = names;
    this.#now = now;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    const until = (this.#now() ?? 0) + ttlMs;
    const name = this.#name(key);
    const ms = Math.max(1, Math.ceil(ttlMs));
    await this.#calls.run(() => ["SET", name, `${until} ${value}`, "PX", ms], name.length + value.length);
  }

  async get(key: string): Promise<string | undefined> {
    const name = this.#name(key);
    return this.#valueOf(await this.#calls.run(() => ["GET", name]));
  }

  async take(key: string): Promise<string | undefined> {
    const name = this.#name(key);
    return this.#valueOf(await this.#calls.run(() => ["GETDEL", name]));
  }

  #name(key: string): string {
    if (Buffer.byteLength(key) > longestKeyBytes)
      throw new RangeError(`a fact's key has at most ${longestKeyBytes} bytes`);
    return this.#names.fact(key);
  }

  #valueOf(reply: unknown): string | undefined {
    if (typeof reply !== "string") return undefined;
    const end = reply.indexOf(" ");
    const now = this.#now();
    return now !== undefined && Number(reply.slice(0, end)) <= now ? undefined : reply.slice(end + 1);
  }
}
