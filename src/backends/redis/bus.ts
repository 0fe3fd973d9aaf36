import type { Redis } from "ioredis";
import { type BackendContext, BackendUnavailable } from "../backend.ts";
import { unavailable } from "./errors.ts";
import { Link } from "./link.ts";
import { checkFit, parseInfo } from "./term.ts";

/** Channels that one SUBSCRIBE names. */
const mostAtOnce = 500;

export interface BusOptions {
  readonly make: () => Redis;
  readonly place: string;
  readonly waitMs: number;
  readonly log: BackendContext["log"];
  readonly message: (channel: string, text: string) => void;
  /** Nothing is pushed any more. */
  readonly lost: () => void;
  /** All channels are subscribed again, after they were not. */
  readonly restored: () => void;
}

/** The connection over which channels push. What was subscribed is subscribed again whenever it is made anew. */
export class Bus {
  readonly link: Link;
  readonly #options: BusOptions;
  readonly #wanted = new Set<string>();
  /** Channels that this very connection has, or was asked for. */
  #asked = new Map<string, Promise<unknown>>();
  #waiting: ((client: Redis | undefined) => void)[] = [];
  #isFirst = true;

  constructor(options: BusOptions) {
    this.#options = options;
    this.link = new Link(
      {
        make: options.make,
        settle: (client) => this.#settle(client),
        opened: (client) => this.#opened(client),
        lost: () => {
          this.#asked = new Map();
          options.lost();
        },
      },
      { title: "what is pushed", place: options.place, log: options.log },
    );
  }

  /** Resolves when the channel pushes. Rejects with BackendUnavailable after `waitMs`. */
  async attach(channel: string): Promise<void> {
    this.#wanted.add(channel);
    const { place, waitMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new BackendUnavailable(`Redis at ${place}: no subscription within ${waitMs} ms`)),
        waitMs,
      );
    });
    late.catch(() => undefined);
    try {
      // A connection that breaks meanwhile takes its answer with it: the next one is asked.
      for (let isDone = false; !isDone && this.#wanted.has(channel);) {
        const client = this.link.client ?? (await Promise.race([this.#nextClient(), late]));
        if (client === undefined) throw new BackendUnavailable("the backend was closed");
        isDone = await Promise.race([
          this.#ask(client, [channel]).then(
            () => true,
            (error: unknown) => this.#failed(client, error),
          ),
          late,
        ]);
      }
    } catch (error) {
      throw unavailable(place, error);
    } finally {
      clearTimeout(timer);
    }
  }

  detach(channel: string): void {
    this.#wanted.delete(channel);
    // Where the connection is being made anew, the channel may have been asked for: `#opened` sees to it.
    if (this.link.client !== undefined) this.#unsubscribe(this.link.client, channel);
  }

  close(): void {
    this.link.close();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  /** A refusal over a whole connection counts; else the connection is gone, and another try is made over the next. */
  #failed(client: Redis, error: unknown): false {
    if (this.link.client === client) throw error;
    return false;
  }

  #nextClient(): Promise<Redis | undefined> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #settle(client: Redis): Promise<void> {
    checkFit(parseInfo(await client.info()));
    client.on("message", this.#options.message);
    this.#asked = new Map();
    await this.#ask(client, [...this.#wanted]);
  }

  #opened(client: Redis): void {
    for (const channel of this.#asked.keys()) if (!this.#wanted.has(channel)) this.#unsubscribe(client, channel);
    for (const resolve of this.#waiting.splice(0)) resolve(client);
    // Those that came while the others were being asked for have somebody who waits for them.
    if (!this.#isFirst) this.#options.restored();
    this.#isFirst = false;
  }

  #unsubscribe(client: Redis, channel: string): void {
    if (this.#asked.delete(channel)) client.unsubscribe(channel).catch(() => undefined);
  }

  async #ask(client: Redis, channels: readonly string[]): Promise<void> {
    const missing = channels.filter((channel) => !this.#asked.has(channel));
    for (let i = 0; i < missing.length; i += mostAtOnce) {
      const part = missing.slice(i, i + mostAtOnce);
      const asked = client.subscribe(...part);
      for (const channel of part) this.#asked.set(channel, asked);
    }
    await Promise.all(channels.map((channel) => this.#asked.get(channel) ?? Promise.resolve()));
  }
}
