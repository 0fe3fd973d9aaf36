import type { Clock } from "../clock.ts";
import type { Replica } from "./replica.ts";

/** How long the first one in a room waits for what the other nodes have. One that is silent then comes later. */
const openMs = 1_000;

/** A map that opens: which of the nodes that have it have said what they have. */
export class Opening {
  /** Resolves when all have, or when time is over. */
  readonly done: Promise<void>;
  #others: number | undefined;
  #isCounted = false;
  #end: () => void = () => undefined;

  constructor(clock: Pick<Clock, "setTimeout" | "clearTimeout">) {
    this.done = new Promise((resolve) => {
      // What has come while this process was busy is read first.
      const timer = clock.setTimeout(() => setImmediate(resolve), openMs);
      this.#end = () => {
        clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  /** `others`: how many nodes have the map besides this one; undefined: some, and each says which others it knows of. */
  counted(others: number | undefined): void {
    this.#others = others;
    this.#isCounted = true;
  }

  /** Looks at what is known of the other nodes now. */
  look(replicas: Iterable<Replica>): void {
    if (this.#isCounted && this.#isWhole([...replicas])) this.#end();
  }

  /** Stops waiting. */
  close(): void {
    this.#end();
  }

  #isWhole(replicas: readonly Replica[]): boolean {
    if (replicas.some(({ isBehind }) => isBehind)) return false;
    return replicas.filter(({ isHeld }) => !isHeld).length >= (this.#others ?? 1);
  }
}
