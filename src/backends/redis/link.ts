import type { Redis } from "ioredis";
import type { BackendContext } from "../backend.ts";
import { within } from "../within.ts";
import { isHopeless, unavailable } from "./errors.ts";

/** What a connection attempt may take, everything asked on it included. */
const attemptMs = 3_000;
const firstPauseMs = 20;
const longestPauseMs = 1_000;

export interface LinkHooks {
  /** A client that was never connected. Each connection gets one of its own. */
  make(): Redis;
  /** Asks on the new connection what must be known before it is used. Where it rejects, the connection is given up. */
  settle(client: Redis): Promise<void>;
  /** Called in the turn in which the connection can be used. */
  opened(client: Redis): void;
  /** Called once a connection that was open is no longer. */
  lost(error: Error): void;
}

export interface LinkOptions {
  /** For logs: `commands`. */
  readonly title: string;
  readonly place: string;
  readonly log: BackendContext["log"];
}

/**
 * One connection to Redis, made anew whenever it breaks. A connection is one client of ioredis, and ends with it: what
 * was settled for the one before never counts for the next.
 */
export class Link {
  readonly #hooks: LinkHooks;
  readonly #options: LinkOptions;
  #client: Redis | undefined;
  #isOpen = false;
  #isClosed = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(hooks: LinkHooks, options: LinkOptions) {
    this.#hooks = hooks;
    this.#options = options;
  }

  /** The connection, where it can be used now. */
  get client(): Redis | undefined {
    return this.#isOpen ? this.#client : undefined;
  }

  /** Resolves with the first connection; rejects with the last failure after `ms`, or at once where no retry would help. */
  async start(ms: number): Promise<void> {
    const until = performance.now() + ms;
    for (;;) {
      try {
        await this.#attempt();
        return;
      } catch (error) {
        if (isHopeless(error) || performance.now() + this.#pauseMs() > until)
          throw unavailable(this.#options.place, error);
        await new Promise((resolve) => setTimeout(resolve, this.#pauseMs()));
      }
    }
  }

  /** Gives the connection up, at once and whatever is on its way, and makes another one. */
  reset(error: Error): void {
    if (this.#isOpen && this.#client !== undefined) this.#end(this.#client, error);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#client !== undefined) discard(this.#client);
    this.#isOpen = false;
    this.#client = undefined;
  }

  async #attempt(): Promise<void> {
    const client = this.#hooks.make();
    this.#client = client;
    let failure: unknown;
    // What an attempt failed of comes as an event; the promise says only that the connection closed.
    client.on("error", (error) => (failure = error));
    client.on("close", () =>
      this.#end(client, failure instanceof Error ? failure : new Error("the connection closed")),
    );
    try {
      const settled = client.connect().then(() => this.#hooks.settle(client));
      await within(attemptMs, settled, () => new Error(`no answer within ${attemptMs} ms`));
      if (this.#isClosed || this.#client !== client || client.status !== "ready")
        throw new Error("the connection closed");
    } catch (error) {
      discard(client);
      this.#failures++;
      throw failure ?? error;
    }
    this.#failures = 0;
    this.#isOpen = true;
    this.#hooks.opened(client);
  }

  /** Only what was open is lost; an attempt that fails is told by its own promise. */
  #end(client: Redis, error: Error): void {
    if (this.#client !== client || !this.#isOpen) return;
    this.#isOpen = false;
    this.#client = undefined;
    discard(client);
    const { title, place, log } = this.#options;
    log("warn", `the connection to Redis for ${title} is lost`, { place, error: error.message });
    this.#hooks.lost(error);
    void this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    const { title, place, log } = this.#options;
    while (!this.#isClosed) {
      try {
        await this.#attempt();
        log("info", `the connection to Redis for ${title} is there again`, { place });
        return;
      } catch (error) {
        if (this.#failures === 1) log("warn", unavailable(place, error).message);
        await new Promise<void>((resolve) => {
          this.#timer = setTimeout(resolve, this.#pauseMs()).unref();
        });
      }
    }
  }

  /** Doubles up to a second; spread, so that nodes that lost the engine together do not come back together. */
  #pauseMs(): number {
    const most = Math.min(firstPauseMs * 2 ** Math.min(this.#failures, 10), longestPauseMs);
    return most * (0.5 + Math.random() / 2);
  }
}

/** `disconnect` waits for the peer; a peer that does not answer must not keep the socket. */
function discard(client: Redis): void {
  client.removeAllListeners("close");
  client.disconnect();
  client.stream?.destroy();
}
