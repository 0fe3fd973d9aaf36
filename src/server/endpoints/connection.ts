import type { Duplex } from "node:stream";
import { closeCodes, leavesAtOnce } from "../../protocol/codes.ts";
import type { Clock } from "../clock.ts";
import type { RateLimits } from "../rate-limits.ts";
import { Connection, type ConnectionContext, type Socket } from "../connection.ts";
import { frameBinary, frameText, type Payload } from "../wire.ts";
import { Allowance } from "./allowance.ts";
import { Inbox, type Incoming } from "./inbox.ts";

export interface RawContext extends ConnectionContext {
  readonly clock: Clock;
  readonly messagesPerS: number;
  readonly rates: RateLimits;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** A group, or a room that is followed, as its sockets see it. */
export interface Joined {
  /** Hands the member what was sent to the group so far. */
  settle(member: RawConnection): void;
  leave(member: RawConnection): void;
}

/** A connection of an endpoint: it has messages of the app's own, and no session. */
export class RawConnection extends Connection {
  /** The groups that it is in, and the rooms that it follows. */
  readonly groups: Map<string, Joined> = new Map();
  readonly inbox: Inbox = new Inbox();
  /** What the app has of it. */
  facade: unknown;
  /** How it ended; undefined: it is open. */
  end: Closed | undefined;
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  readonly #rates: RateLimits;
  #working = false;
  #resting: unknown;
  #stopped = false;
  /** Bytes that were pushed since this connection was last flushed by itself. */
  #pushedBytes = 0;

  constructor(context: RawContext, socket: Socket, stream: Duplex, id: string, address: string) {
    super(context, socket, stream, id, address);
    this.#clock = context.clock;
    this.#rates = context.rates;
    this.#allowance = new Allowance(context.messagesPerS, context.monotonic());
  }

  /** Messages that the app has not dealt with yet: a drain waits for these (P-53). */
  override get pending(): number {
    return this.inbox.size + (this.#working ? 1 : 0);
  }

  override receive(data: Buffer, isBinary: boolean): void {
    if (this.closed) return;
    this.heardAt = this.#clock.monotonic();
    this.messages++;
    const ownMs = this.#allowance.take(this.heardAt);
    if (ownMs === undefined) return this.close(closeCodes.flooding, "flooding");
    const restMs = Math.max(ownMs, this.#rates.read(this));
    if (restMs > 0) this.#rest(restMs);
    // Asked for and given in one step, it is being worked on from here.
    if (this.inbox.isAsked) this.#working = true;
    this.inbox.put({ data, isBinary });
    this.#flow();
  }

  /** Monotonic milliseconds. */
  now(): number {
    return this.#clock.monotonic();
  }

  /** The next message; undefined: the connection has ended, or nothing came within `withinMs`. */
  async take(withinMs: number | undefined): Promise<Incoming | undefined> {
    this.#working = false;
    const next = this.inbox.take((giveUp) => {
      if (withinMs === undefined) return () => undefined;
      const timer = this.#clock.setTimeout(giveUp, withinMs);
      return () => this.#clock.clearTimeout(timer);
    });
    this.#flow();
    const message = await next;
    this.#working = message !== undefined;
    return message;
  }

  /** The handler has ended, so nobody reads what may still come. */
  handled(): void {
    this.#working = false;
    this.inbox.clear();
  }

  /** False where it is gone, or where more waits than a reader should have: then `drained` tells when to go on. */
  push(payload: Payload): boolean {
    if (this.closed) return false;
    this.settle();
    const frame = typeof payload === "string" ? frameText(payload) : frameBinary(payload);
    this.outbox.push(frame);
    this.#pushedBytes += frame.length;
    // A loop that never lets the turn end would fill memory before the bound is looked at.
    if (this.#pushedBytes > this.outbox.shareBytes) {
      this.#pushedBytes = 0;
      this.outbox.flush();
    }
    return !this.closed && !this.outbox.congested;
  }

  /** What its groups had for it before goes out before what follows. */
  settle(): void {
    for (const group of this.groups.values()) group.settle(this);
  }

  override close(code: number, reason: string): void {
    if (this.closed) return;
    if (code === closeCodes.normal || !leavesAtOnce(code)) this.settle();
    super.close(code, reason);
    // After a close of ours the app gets nothing more; what came before a peer's own end is still its.
    this.inbox.clear();
  }

  override stopReading(): void {
    this.#stopped = true;
    this.#flow();
  }

  protected override ending(code: number, reason: string): void {
    this.end = { code, reason };
    this.#clock.clearTimeout(this.#resting);
    for (const group of [...this.groups.values()]) group.leave(this);
    this.inbox.end();
  }

  #rest(ms: number): void {
    this.#clock.clearTimeout(this.#resting);
    this.#resting = this.#clock.setTimeout(() => {
      this.#resting = undefined;
      // Others that share its rates may have been faster.
      const restMs = this.#rates.restMs(this);
      if (restMs > 0 && !this.closed) this.#rest(restMs);
      this.#flow();
    }, ms);
  }

  /** Reads on, or not: the peer is slowed down by TCP and nothing is lost. */
  #flow(): void {
    if (this.closed) return;
    const hold = this.#stopped || this.#resting !== undefined || this.inbox.isFull;
    if (hold === this.held) return;
    this.held = hold;
    if (hold) this.socket.pause();
    else this.socket.resume();
  }
}
