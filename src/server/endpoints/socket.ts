import type { Closed, RawConnection } from "./connection.ts";
import { encodePayload, type Sendable } from "./payload.ts";
import { checkReason, isCloseCode } from "./refuse.ts";

/** A peer of an endpoint, as its handler sees it. A disconnect ends the loop; nothing here rejects or throws for it. */
export class EndpointSocket<M = unknown> implements AsyncIterable<M> {
  readonly #connection: RawConnection;
  readonly #next: (withinMs: number | undefined) => Promise<M | undefined>;

  /** @internal */
  constructor(connection: RawConnection, next: (withinMs: number | undefined) => Promise<M | undefined>) {
    this.#connection = connection;
    this.#next = next;
  }

  /** @internal */
  static connectionOf(socket: EndpointSocket): RawConnection {
    return socket.#connection;
  }

  /** Known to the log and to `hub.user(name).connections()`. */
  get id(): string {
    return this.#connection.id;
  }

  /** Undefined: it is not signed in. */
  get user(): string | undefined {
    return this.#connection.user === "" ? undefined : this.#connection.user;
  }

  get address(): string {
    return this.#connection.address;
  }

  /** The subprotocol that was selected; empty: none. */
  get protocol(): string {
    return this.#connection.socket.protocol;
  }

  get isOpen(): boolean {
    return !this.#connection.closed;
  }

  /** How it ended, whoever ended it; undefined while it is open. 1005: without a code, 1006: without a word. */
  get closed(): Closed | undefined {
    return this.#connection.end;
  }

  /** Bytes that were sent and that the network has not taken yet. */
  get waitingBytes(): number {
    return this.#connection.outbox.waitingBytes;
  }

  /**
   * Sends a message: a string as it is, bytes as binary, anything else as JSON. True: go on. False: the peer is gone, or
   * reads more slowly than you write, and `drained` resolves when to go on. Above the limit `outboxBytes` it is closed with
   * 4200. Throws a TypeError only on what JSON cannot hold.
   */
  send(data: Sendable): boolean {
    return this.#connection.push(encodePayload(data));
  }

  /** Resolves when there is room for more, or the peer is gone. */
  drained(): Promise<void> {
    return this.#connection.outbox.drained();
  }

  /** The next message; undefined: the peer is gone (`isOpen` tells), or nothing came within `withinMs`. */
  next({ withinMs }: { readonly withinMs?: number } = {}): Promise<M | undefined> {
    return this.#next(withinMs);
  }

  /** Messages until the peer is gone. Leaving the loop early closes nothing: it can be entered again. */
  async *[Symbol.asyncIterator](): AsyncGenerator<M, void, undefined> {
    for (;;) {
      const message = await this.#next(undefined);
      if (message === undefined) return;
      yield message;
    }
  }

  /**
   * Closes it, after what was sent. A second close changes nothing. Throws a RangeError on a code that no endpoint may send,
   * or a reason of more than 123 bytes.
   */
  close(code = 1000, reason = ""): void {
    if (!isCloseCode(code)) throw new RangeError(`close: 1000 to 1014 or 3000 to 4999 is needed, got ${code}`);
    checkReason(reason);
    this.#connection.close(code, reason);
  }
}
