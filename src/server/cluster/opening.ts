import type { Clock } from "../clock.ts";

/** How long the first one in a room waits for what the other nodes have. One that is silent then comes later. */
const openMs = 300;

/** A map that opens: which of the nodes that have it have said what they have. */
export class Opening {
  /** Resolves when all have, or when time is over. */
  readonly done: Promise<void>;
  readonly #node: string;
  readonly #others: number | undefined;
  readonly #answered: Set<string> = new Set();
  readonly #peers: Set<string> = new Set();
  #end: (() => void) | undefined;

  /** `others`: how many have the map besides `node`; undefined: some, and each says which others it knows of. */
  constructor(node: string, others: number | undefined, clock: Pick<Clock, "setTimeout" | "clearTimeout">) {
    this.#node = node;
    this.#others = others;
    this.done = new Promise((resolve) => {
      const timer = clock.setTimeout(resolve, openMs);
      this.#end = () => {
        clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  answered(from: string, peers: readonly string[]): void {
    this.#answered.add(from);
    for (const node of peers) this.#peers.add(node);
    if (this.#isWhole()) this.#end?.();
  }

  #isWhole(): boolean {
    if (this.#others !== undefined) return this.#answered.size >= this.#others;
    return [...this.#peers].every((node) => node === this.#node || this.#answered.has(node));
  }
}
