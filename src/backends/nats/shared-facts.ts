import type { Msg } from "@nats-io/transport-node";
import { type BackendContext, BackendUnavailable } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import { checkFactKey } from "../fact-key.ts";
import { type Link, NoResponders } from "./link.ts";
import type { Names } from "./names.ts";

/** Facts that a node holds; one more is refused. */
const mostFacts = 200_000;
const factsAMessage = 500;
/** How long the others' answers may take: in all, and after the last one. */
const answersMs = 1_000;
const quietMs = 150;
const sweepMs = 5_000;

interface Fact {
  readonly value: string;
  /** By this node's clock. */
  readonly until: number;
  /** The node that gives it to one taker alone. */
  readonly owner: string;
  /** Counts what was said of the key; of two words the later holds, of equals the one of the greater node. */
  readonly version: number;
}

/** Says for how long it still holds, and not until when: nodes' clocks differ. */
type Word = readonly [key: string, value: string | null, leftMs: number, owner: string, version: number];

/**
 * Facts without a store: every node holds all of them, and tells the others of each. As durable as the nodes: what the
 * last of them knew is lost with it.
 */
export class SharedFacts {
  readonly #link: Link;
  readonly #names: Names;
  readonly #now: () => number;
  readonly #node = newEpoch();
  readonly #facts = new Map<string, Fact>();
  readonly #timer: NodeJS.Timeout;

  constructor(link: Link, names: Names, { now, steadyNow = now }: BackendContext) {
    this.#link = link;
    this.#names = names;
    this.#now = steadyNow;
    this.#timer = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** Listens to the others, and asks them for theirs. */
  async open(): Promise<void> {
    this.#link.subscribe(this.#names.ofNodes("said"), (message) => this.#hear(message));
    this.#link.subscribe(this.#names.ofNodes("all"), (message) => this.#tellAll(message));
    this.#link.subscribe(this.#names.ofNodes(`take.${this.#node}`), (message) => {
      message.respond(JSON.stringify(this.#give(message.string()) ?? null));
    });
    await this.#link.flush();
    await this.catchUp();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Takes over what the others hold: of this node's own making nothing is missing. */
  async catchUp(): Promise<void> {
    await this.#link.collect(this.#names.ofNodes("all"), { withinMs: answersMs, quietMs }, (message) =>
      this.#hear(message),
    );
  }

  /** Resolves when the server has the word to all others. */
  async set(key: string, value: string, ttlMs: number): Promise<void> {
    checkFactKey(key);
    const known = this.#facts.get(key);
    if (known === undefined && this.#facts.size >= mostFacts) throw new BackendUnavailable("too many facts are held");
    const version = (known?.version ?? 0) + 1;
    this.#say([[key, value, ttlMs, this.#node, version]]);
    this.#facts.set(key, { value, until: this.#now() + ttlMs, owner: this.#node, version });
    await this.#link.flush();
  }

  /** What the server had for this node when this was called is heard first, so that a ticket may be spent where it was not made. */
  async get(key: string): Promise<string | undefined> {
    checkFactKey(key);
    await this.#link.flush();
    return this.#known(key);
  }

  #known(key: string): string | undefined {
    const fact = this.#facts.get(key);
    return fact !== undefined && fact.until > this.#now() ? fact.value : undefined;
  }

  /** Asks the owner. Where that is gone, nobody gets it: better lost than spent twice. */
  async take(key: string): Promise<string | undefined> {
    if ((await this.get(key)) === undefined) return undefined;
    const fact = this.#facts.get(key);
    if (fact === undefined) return undefined;
    if (fact.owner === this.#node) return this.#give(key);
    try {
      const answer = await this.#link.request(this.#names.ofNodes(`take.${fact.owner}`), key);
      return answer.json<string | null>() ?? undefined;
    } catch (error) {
      if (!(error instanceof NoResponders)) throw error;
      this.#drop(key, fact);
      return undefined;
    }
  }

  #give(key: string): string | undefined {
    const value = this.#known(key);
    const fact = this.#facts.get(key);
    if (fact === undefined || fact.owner !== this.#node) return undefined;
    this.#drop(key, fact);
    return value;
  }

  #drop(key: string, { owner, version }: Fact): void {
    this.#facts.delete(key);
    this.#say([[key, null, 0, owner, version]]);
  }

  #say(words: readonly Word[]): void {
    this.#link.publish(this.#names.ofNodes("said"), JSON.stringify(words));
  }

  #hear(message: Msg): void {
    for (const [key, value, leftMs, owner, version] of JSON.parse(message.string()) as Word[]) {
      const known = this.#facts.get(key);
      const isOlder =
        known !== undefined && (known.version > version || (known.version === version && known.owner > owner));
      if (isOlder) continue;
      if (value === null) this.#facts.delete(key);
      else if (known !== undefined || this.#facts.size < mostFacts)
        this.#facts.set(key, { value, until: this.#now() + leftMs, owner, version });
    }
  }

  #tellAll(message: Msg): void {
    const words = [...this.#facts].map(([key, { value, until, owner, version }]): Word => [
      key,
      value,
      until - this.#now(),
      owner,
      version,
    ]);
    for (let from = 0; from === 0 || from < words.length; from += factsAMessage) {
      message.respond(JSON.stringify(words.slice(from, from + factsAMessage)));
    }
  }

  #sweep(): void {
    const now = this.#now();
    for (const [key, { until }] of this.#facts) if (until <= now) this.#facts.delete(key);
  }
}
