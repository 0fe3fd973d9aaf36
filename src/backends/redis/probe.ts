import { BackendUnavailable } from "../backend.ts";
import { within } from "../within.ts";

/** How long a probe message may take, there and back. */
const probeMs = 2_000;
const everyMs = 4_000;

export interface ProbeOptions {
  /** Writes, and publishes the text on this node's own channel. Gives how many connections heard it. */
  readonly send: (text: string) => Promise<number>;
  /** The engine took the message and does not push: twice in a row. */
  readonly broken: (error: Error) => void;
}

/**
 * Whether what is published comes back: a message on a channel of this node alone, sent over one connection and awaited
 * on the other. A connection that the other end has forgotten looks whole until somebody tries.
 */
export class Probe {
  readonly #options: ProbeOptions;
  readonly #awaited = new Map<string, () => void>();
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #failures = 0;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#watch(), everyMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  heard(text: string): void {
    this.#awaited.get(text)?.();
  }

  /** Rejects with BackendUnavailable where the message does not come back in time. */
  async run(): Promise<void> {
    const text = String(++this.#sent);
    const back = new Promise<void>((resolve) => this.#awaited.set(text, resolve));
    // A message that is back was written.
    const done = Promise.race([back, this.#options.send(text).then(() => back)]);
    try {
      await within(probeMs, done, late);
    } finally {
      this.#awaited.delete(text);
    }
  }

  async #watch(): Promise<void> {
    try {
      await this.run();
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      if (this.#failures < 2) return;
      this.#failures = 0;
      this.#options.broken(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function late(): Error {
  return new BackendUnavailable(`a probe message did not come back from Redis within ${probeMs} ms`);
}
