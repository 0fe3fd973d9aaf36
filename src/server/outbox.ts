import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { Flushable, Turn } from "./turn.ts";
import { framesIn } from "./wire.ts";

/** Where more than this share of the bound waits, droppable frames are left out. */
const congestedShare = 0.25;
/** Frames of one turn that are smaller than this together are copied into one buffer: one write, no vector. */
const joinBytes = 65_536;

/** `ws` does not tell when its compressor has caught up, so that is looked at so often. */
const pollMs = 10;

/** The connection that an outbox writes for. */
export interface OutboxOwner {
  readonly turn: Turn;
  readonly stream: Duplex;
  /** Whether the stream takes anything more. */
  readonly isOpen: boolean;
  /** The WebSocket over `stream`, where it compresses: then what is sent goes through it. */
  readonly compressor: WebSocket | undefined;
  readonly outboxBytes: number;
  /** Called after each write that leaves the outbox congested: rooms with a policy for it pass the connection by. */
  fellBehind(): void;
  /** Called once, when more than `outboxBytes` wait. */
  overflowed(): void;
}

/**
 * What is to be sent to one connection. What is pushed in one turn is written once, at its end, past `ws` and straight to
 * the socket: `ws` writes its own control frames to the same socket, so their order holds. A connection with deflate goes
 * through `ws`, frame by frame, for the same reason: there `ws` queues.
 *
 * Bounded by bytes: whoever does not read has at most `outboxBytes`, and what one turn brings, waiting here; then
 * `overflowed` is called and nothing more is taken.
 */
export class Outbox implements Flushable {
  /** Bytes that rooms hold back for this connection (`latest`), within `holdableBytes`; they count in its bound. */
  heldBytes = 0;
  readonly #owner: OutboxOwner;
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #closed = false;
  #corked = false;
  #draining: Promise<void> | undefined;

  constructor(owner: OutboxOwner) {
    this.#owner = owner;
  }

  /**
   * For a stream that was corked before its handshake was answered: it is uncorked at the turn's end, so that the answer
   * and `welcome` leave in one write where the credentials are settled by then.
   */
  uncorkAtTurnEnd(): void {
    this.#corked = true;
    this.#owner.turn.addOutbox(this);
  }

  /** Bytes that the socket has not taken yet. */
  get waitingBytes(): number {
    const { compressor, stream } = this.#owner;
    return compressor === undefined ? stream.writableLength : compressor.bufferedAmount;
  }

  get congested(): boolean {
    return this.waitingBytes > this.shareBytes;
  }

  /** What may be pushed at once into an outbox that is not congested, without a fear of its bound. */
  get shareBytes(): number {
    return this.#owner.outboxBytes * congestedShare;
  }

  /** What of `shareBytes` rooms may hold back, so that it stays within the bound with all that waits here. */
  get holdableBytes(): number {
    return Math.min(this.shareBytes, this.#owner.outboxBytes - this.waitingBytes);
  }

  /** Bytes that were pushed in this turn and are not written yet. */
  get pushedBytes(): number {
    return (this.#more ?? []).reduce((sum, { length }) => sum + length, this.#first?.length ?? 0);
  }

  /** Takes one or more whole frames made by `wire.ts`. The buffer is shared and never written to. */
  push(frames: Buffer): void {
    if (this.#closed) return;
    if (this.#first === undefined) {
      this.#first = frames;
      this.#owner.turn.addOutbox(this);
    } else if (this.#more === undefined) {
      this.#more = [frames];
    } else {
      this.#more.push(frames);
    }
  }

  /** Writes what was pushed. Called at the turn's end, and before a close so that nothing is cut off by it. */
  flush(): void {
    this.#write();
    if (!this.#corked) return;
    this.#corked = false;
    this.#owner.stream.uncork();
  }

  #write(): void {
    const first = this.#first;
    if (first === undefined) return;
    const more = this.#more;
    this.#first = this.#more = undefined;
    const { isOpen, stream, compressor } = this.#owner;
    if (this.#closed || !isOpen) return;
    if (compressor !== undefined) compress(compressor, more === undefined ? [first] : [first, ...more]);
    else if (more === undefined) stream.write(first);
    else this.#writeAll([first, ...more]);
    if (this.congested) this.#checkBound();
  }

  #checkBound(): void {
    if (this.waitingBytes + this.heldBytes > this.#owner.outboxBytes) {
      this.#closed = true;
      this.#owner.overflowed();
    } else {
      this.#owner.fellBehind();
    }
  }

  /** Writes what was pushed, and resolves when no more than `toBytes` of it wait for the socket, or it is gone. */
  async drained(toBytes: number = this.shareBytes): Promise<void> {
    this.flush();
    // A socket that is closing takes nothing more: to wait for it would be to wait for ever, or to spin.
    while (this.waitingBytes > toBytes && !this.#closed && this.#owner.isOpen) {
      await (this.#draining ??= this.#nextDrain());
    }
  }

  /** One wait for all who wait: a connection may have a replay in each of its rooms. */
  #nextDrain(): Promise<void> {
    const { stream, compressor } = this.#owner;
    return new Promise((resolve) => {
      const done = (): void => {
        stream.off("drain", done).off("close", done);
        this.#draining = undefined;
        resolve();
      };
      // A stream that holds less than its own mark never says `drain`, and `ws` never tells when it has compressed.
      if (compressor !== undefined || !stream.writableNeedDrain) setTimeout(done, pollMs);
      else stream.on("drain", done).on("close", done);
    });
  }

  /** Whether anything that is pushed can still be sent. */
  get isOpen(): boolean {
    return !this.#closed && this.#owner.isOpen;
  }

  /** Nothing is taken or written any more. */
  close(): void {
    this.#closed = true;
    this.#first = this.#more = undefined;
  }

  #writeAll(buffers: Buffer[]): void {
    const { stream } = this.#owner;
    const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (total <= joinBytes) {
      stream.write(Buffer.concat(buffers, total));
      return;
    }
    stream.cork();
    for (const buffer of buffers) stream.write(buffer);
    stream.uncork();
  }
}

function compress(socket: WebSocket, buffers: Buffer[]): void {
  for (const buffer of buffers) {
    for (const { payload, isBinary } of framesIn(buffer)) socket.send(payload, { binary: isBinary });
  }
}
