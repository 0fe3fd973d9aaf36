import { BackendUnavailable } from "../backend.ts";
import { within } from "../within.ts";

/** As long as a call waits for an engine that is away. */
const longestWaitMs = 5_000;

/** Closed while this node may not tell what arrives. */
export class Gate {
  #opened: Promise<void> | undefined;
  #open: (() => void) | undefined;

  get isClosed(): boolean {
    return this.#opened !== undefined;
  }

  close(): void {
    this.#opened ??= new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open?.();
    this.#opened = this.#open = undefined;
  }

  /** Resolves when it is open. Rejects with `BackendUnavailable` where that takes too long. */
  async passed(): Promise<void> {
    if (this.#opened !== undefined) await within(longestWaitMs, this.#opened, away);
  }
}

function away(): Error {
  return new BackendUnavailable("nothing is heard of the engine");
}
