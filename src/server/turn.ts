/** Something with work to do at the end of the turn. */
export interface Flushable {
  flush(): void;
}

/** Under load a flush waits so many times what the last one took, so that more messages share the next write. */
const restFactor = 2;
/** No message waits longer than this for company. */
const maxRestMs = 20;

/**
 * Collects what became ready in one turn of the event loop and flushes it once, at the turn's end: first the broadcasts,
 * which hand each room's new frames to its members, then the outboxes, each of which writes to its socket once.
 *
 * A write is a system call, and the system call is what a delivery costs. When flushes take long (many members, many
 * messages), the next one rests for a few milliseconds, so that the calls become fewer and larger; an idle server
 * flushes at once.
 */
export class Turn {
  readonly #now: () => number;
  #broadcasts: Flushable[] = [];
  #outboxes: Flushable[] = [];
  #scheduled = false;
  #restUntil = 0;
  /** Bytes of messages since the last flush, in rooms that have a policy for slow readers: see `SlowReaders`. */
  collectedBytes = 0;
  /** How often it was flushed. */
  flushes = 0;

  /** `now` is monotonic, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  addBroadcast(broadcast: Flushable): void {
    this.#broadcasts.push(broadcast);
    this.#schedule();
  }

  addOutbox(outbox: Flushable): void {
    this.#outboxes.push(outbox);
    this.#schedule();
  }

  /** Before the turn's end, where more was collected than should be written at once. */
  flushNow(): void {
    this.#flushAll();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const rest = this.#restUntil - this.#now();
    if (rest < 1) setImmediate(this.#flush);
    else setTimeout(this.#flush, rest);
  }

  readonly #flush = (): void => {
    const start = this.#now();
    try {
      this.#flushAll();
    } finally {
      // Whatever went wrong with one, the others must not be silent from here on.
      this.#scheduled = false;
      const end = this.#now();
      this.#restUntil = end + Math.min(maxRestMs, (end - start) * restFactor);
      // A write can end a connection, and that can make others ready.
      if (this.#broadcasts.length > 0 || this.#outboxes.length > 0) this.#schedule();
    }
  };

  #flushAll(): void {
    this.collectedBytes = 0;
    this.flushes++;
    const broadcasts = this.#broadcasts;
    this.#broadcasts = [];
    for (const broadcast of broadcasts) broadcast.flush();
    const outboxes = this.#outboxes;
    this.#outboxes = [];
    for (const outbox of outboxes) outbox.flush();
  }
}
