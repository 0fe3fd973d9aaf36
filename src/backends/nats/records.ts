import { BackendUnavailable } from "../backend.ts";
import { checkFactKey } from "../fact-key.ts";
import type { Stored } from "./api.ts";
import { type Engine, untilDone } from "./engine.ts";
import { briefMs } from "./streams.ts";

/** A record as it was found. */
interface Found {
  readonly stream: string;
  readonly subject: string;
  readonly stored: Stored;
}

/**
 * Small records with an expiry: facts, and what publishes with keys left. Those that live for an hour at most stand in one
 * stream, all others in another, and the newer of both counts. Read from the streams' leaders.
 */
export class Records {
  readonly #engine: Engine;
  /** Whether a record may be in the stream of the lasting ones. */
  readonly #isEverLasting: boolean;
  #hasLasting = false;

  /** `isEverLasting`: whether the lasting ones are read although this node wrote none. */
  constructor(engine: Engine, isEverLasting: boolean) {
    this.#engine = engine;
    this.#isEverLasting = isEverLasting;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    checkFactKey(key);
    const { api, names, streams, clock } = this.#engine;
    const isBrief = ttlMs <= briefMs;
    const payload = JSON.stringify([value, clock.now() + ttlMs]);
    await untilDone(this.#engine, async () => {
      if (!isBrief) await streams.hold({ lastingMs: ttlMs + 60_000 });
      await api.publish(isBrief ? names.briefOf(key) : names.lastingOf(key), payload);
    });
    this.#hasLasting ||= !isBrief;
  }

  async get(key: string): Promise<string | undefined> {
    checkFactKey(key);
    return untilDone(this.#engine, async () => this.#valueOf((await this.#find(key))[0]));
  }

  /** What is there, though its time be over: until when it was good, by the engine's clock. */
  async peek(key: string): Promise<{ value: string; until: number } | undefined> {
    const [found] = await this.#find(key);
    if (found === undefined || found.stored.text === "") return undefined;
    const [value, until] = JSON.parse(found.stored.text) as [string, number];
    return { value, until };
  }

  /** Of many takers, on whatever node, one gets it: who writes right after what was read. */
  async take(key: string): Promise<string | undefined> {
    checkFactKey(key);
    await this.#engine.link.ready(performance.now() + this.#engine.link.waitMs);
    for (let attempt = 0; attempt < 10; attempt++) {
      const found = await this.#find(key);
      const value = this.#valueOf(found[0]);
      if (value === undefined) return undefined;
      const removed = await Promise.all(found.map((each) => this.#remove(each)));
      // Sent once only: of a lost answer nobody knows whether it spent the record, and then it counts as spent.
      if (removed[0] === true) return value;
    }
    throw new BackendUnavailable("the record changes faster than it can be taken");
  }

  /** The newest first. */
  async #find(key: string): Promise<Found[]> {
    const { api, names } = this.#engine;
    const places = [[names.brief, names.briefOf(key)] as const];
    if (this.#isEverLasting || this.#hasLasting) places.push([names.lasting, names.lastingOf(key)]);
    const found = await Promise.all(
      places.map(async ([stream, subject]): Promise<Found | undefined> => {
        const stored = await api.last(stream, subject);
        return stored === undefined ? undefined : { stream, subject, stored };
      }),
    );
    return found.filter((each) => each !== undefined).sort((a, b) => (a.stored.time < b.stored.time ? 1 : -1));
  }

  #valueOf(found: Found | undefined): string | undefined {
    // An empty one says that it was taken.
    if (found === undefined || found.stored.text === "") return undefined;
    const [value, until] = JSON.parse(found.stored.text) as [string, number];
    return until > this.#engine.clock.now() ? value : undefined;
  }

  /** Whether it was this call that removed it. */
  async #remove({ stream, subject, stored }: Found): Promise<boolean> {
    const { api } = this.#engine;
    const ack = await api.publishAfter(stored.seq, subject, "");
    if (ack.kind === "lost") return false;
    // The word that it was taken has done its work as soon as the stream has it.
    api.deleteMessage(stream, ack.seq).catch(() => undefined);
    return true;
  }
}
