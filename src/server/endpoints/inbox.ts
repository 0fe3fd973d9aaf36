/** A message as it came: text is still bytes, so that nothing is decoded that nobody asks for. */
export interface Incoming {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

/** Where more waits than this, the socket is not read any more. */
const maxWaiting = 16;

/**
 * What came in and was not asked for yet. Bounded, because the connection stops reading while it is full: beyond the bound
 * come only those messages that were in the same read of the socket.
 */
export class Inbox {
  #waiting: Incoming[] = [];
  #taker: ((message: Incoming | undefined) => void) | undefined;
  #ended = false;

  get size(): number {
    return this.#waiting.length;
  }

  get isFull(): boolean {
    return this.#waiting.length >= maxWaiting;
  }

  /** Whether somebody waits for a message. */
  get isAsked(): boolean {
    return this.#taker !== undefined;
  }

  put(message: Incoming): void {
    if (this.#ended) return;
    const taker = this.#taker;
    if (taker === undefined) {
      this.#waiting.push(message);
      return;
    }
    this.#taker = undefined;
    taker(message);
  }

  /** The next message; undefined where there will be none, or none came before `giveUp` was called. */
  take(register: (giveUp: () => void) => () => void): Promise<Incoming | undefined> {
    const first = this.#waiting.shift();
    if (first !== undefined || this.#ended) return Promise.resolve(first);
    if (this.#taker !== undefined) throw new Error("one loop reads a socket, not two at the same time");
    return new Promise((resolve) => {
      const done = register(() => {
        this.#taker = undefined;
        resolve(undefined);
      });
      this.#taker = (message) => {
        done();
        resolve(message);
      };
    });
  }

  /** No more will come. What waits is still given, for it came before the end. */
  end(): void {
    this.#ended = true;
    const taker = this.#taker;
    this.#taker = undefined;
    taker?.(undefined);
  }

  /** Throws away what waits. */
  clear(): void {
    this.#waiting = [];
  }
}
