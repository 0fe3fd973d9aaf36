import { headers } from "@nats-io/transport-node";
import { type BackendContext, BackendUnavailable } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { Api } from "./api.ts";
import type { EngineClock } from "./clock.ts";
import { NoResponders } from "./link.ts";
import type { Names } from "./names.ts";
import { idName } from "./record.ts";
import type { Streams } from "./streams.ts";

/** One life of the stream that holds the logs. Where it went back, the next life says up to where it took over the last. */
export interface StreamLife {
  readonly name: string;
  readonly parent?: string;
  /** The newest sequence of the parent that is known to be as it was. */
  readonly fork?: number;
}

interface Mark {
  readonly seq: number;
  readonly id: string;
}

interface Parts {
  readonly api: Api;
  readonly names: Names;
  readonly streams: Streams;
  readonly clock: EngineClock;
  readonly context: BackendContext;
}

/** A stream that seems to have gone back may have a leader that is not up to date yet. */
const doubtMs = [100, 300, 600];
/** Names of earlier lives that are remembered. */
const mostOver = 1_000;
/** How often all may be purged by hand within the time for which ids are known. */
const mostWrites = 10;

/**
 * Knows the life of the stream: a record in the stream itself, so that it is gone when the stream is; written anew when
 * the stream went back behind what this node knows of it.
 */
export class Life {
  readonly #api: Api;
  readonly #names: Names;
  readonly #streams: Streams;
  readonly #clock: EngineClock;
  readonly #log: BackendContext["log"];
  /** Earlier lives that messages are of. */
  readonly #over = new Set<string>();
  #current: StreamLife | undefined;
  /** The stream whose record that was, by `Names.instance`. */
  #instance = "";
  #recordSeq = 0;
  #verifying: Promise<number> | undefined;
  /** The newest sequence that this node knows, and the id of its message. */
  #mark: Mark | undefined;

  constructor({ api, names, streams, clock, context }: Parts) {
    this.#api = api;
    this.#names = names;
    this.#streams = streams;
    this.#clock = clock;
    this.#log = context.log;
  }

  /**
   * Throws `BackendUnavailable` before the first `verify`; and `NoResponders` where the names are those of another stream by
   * now: what is of this life has no place there.
   */
  get current(): StreamLife {
    if (this.#current === undefined) throw new BackendUnavailable("the nats backend is not open");
    if (this.#instance !== this.#names.instance) throw new NoResponders("the stream is another one now");
    return this.#current;
  }

  /** A message that is in the stream, in this life of it. */
  saw(seq: number, id: string | undefined, life: string): void {
    if (id !== undefined && life === this.#current?.name && seq > this.newest) this.#mark = { seq, id };
  }

  /** The newest sequence that this node knows of. */
  get newest(): number {
    return this.#mark?.seq ?? 0;
  }

  /** What the stream sent on when its record was written, by whatever node: not all nodes find out by themselves. */
  pushed(text: string): void {
    const { name } = JSON.parse(text) as StreamLife;
    this.heardOf(name).catch(() => undefined);
  }

  /** A message is of this life: where that is neither the current one nor known to be over, it is looked which is current. */
  async heardOf(name: string): Promise<void> {
    const isKnown = (): boolean => name === this.current.name || this.#over.has(name);
    if (isKnown()) return;
    // The first may have begun before that life did.
    for (let looks = 0; looks < 2 && !isKnown(); looks++) await this.verify();
    if (this.#over.size >= mostOver) this.#over.clear();
    if (name !== this.current.name) this.#over.add(name);
  }

  /** Makes what is missing and reads the record; compares the stream with what is known of it. Gives its last sequence. */
  verify(): Promise<number> {
    this.#verifying ??= this.#verify().finally(() => (this.#verifying = undefined));
    return this.#verifying;
  }

  async #verify(): Promise<number> {
    // As it is before the stream is asked: what comes while it answers is no sign that it went back.
    const mark = this.#mark;
    const lastSeq = await this.#streams.ensure();
    await this.#clock.measureWhereDue();
    const before = this.#current?.name;
    await this.#read();
    // Another life than before: what was known is of no use for comparing.
    const isOther = before !== undefined && before !== this.current.name;
    if (isOther) this.#mark = undefined;
    const fork = isOther || mark === undefined ? undefined : await this.#wentBack(mark, lastSeq);
    if (fork !== undefined) await this.wentBackTo(fork);
    return lastSeq;
  }

  /** The stream has lost what came after `fork`: a new life for all rooms. */
  async wentBackTo(fork: number): Promise<void> {
    const parent = this.current.name;
    this.#log("error", "the stream of the logs went back: every room gets a new epoch", { fork });
    await this.#write({ name: newEpoch(), parent, fork });
    this.#mark = undefined;
  }

  /** Reads again before it is believed. */
  async #wentBack(mark: Mark, lastSeq: number): Promise<number | undefined> {
    let fork = await this.#forkOf(mark, lastSeq);
    for (const ms of doubtMs) {
      if (fork === undefined) return undefined;
      await new Promise((resolve) => setTimeout(resolve, ms));
      fork = await this.#forkOf(mark, (await this.#api.info(this.#names.log))?.state.last_seq ?? 0);
    }
    return fork;
  }

  async #forkOf(mark: Mark, lastSeq: number): Promise<number | undefined> {
    if (lastSeq < mark.seq) return lastSeq;
    const stored = await this.#api.bySequence(this.#names.log, mark.seq);
    // One that is gone may have been trimmed.
    return stored === undefined || stored.id === mark.id ? undefined : mark.seq - 1;
  }

  async #read(): Promise<void> {
    const { instance } = this.#names;
    const stored = await this.#api.last(this.#names.log, this.#names.life);
    if (stored === undefined) {
      await this.#write({ name: newEpoch() }, 0);
      return;
    }
    this.#learn(stored.seq, JSON.parse(stored.text) as StreamLife, instance);
    // It expires like a message, and must not before one.
    const ageMs = this.#clock.now() - Date.parse(stored.time);
    if (ageMs > this.#streams.logMs / 4) await this.#write(this.current);
  }

  /** Two nodes may write at once: the first one's word holds for both. */
  async #write(life: StreamLife, last = this.#recordSeq): Promise<void> {
    const { instance } = this.#names;
    for (let attempt = 0; attempt < mostWrites; attempt++) {
      const all = headers();
      // A record that was purged by hand is gone, but its id is still known: the next one has another, with all nodes.
      all.set(idName, `${this.#names.life}.${last}.${attempt}`);
      const ack = await this.#api.publishAfter(last, this.#names.life, JSON.stringify(life), all);
      if (ack.kind === "kept") return this.#learn(ack.seq, life, instance);
      const stored = await this.#api.last(this.#names.log, this.#names.life);
      if (stored !== undefined) return this.#learn(stored.seq, JSON.parse(stored.text) as StreamLife, instance);
    }
    throw new BackendUnavailable("the stream changes while it is looked at");
  }

  /** What the record of the stream that had these names says. */
  #learn(seq: number, life: StreamLife, instance: string): void {
    this.#recordSeq = seq;
    this.#current = life;
    this.#instance = instance;
  }
}
