import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { closeAction, closeCodes, leavesAtOnce } from "../../protocol/codes.ts";
import { encodeFrame } from "../../protocol/encode.ts";
import type { Identity } from "../auth/identity.ts";
import type { Connected } from "../connected.ts";
import type { Counts } from "../metrics/counts.ts";
import type { Logger } from "../options.ts";
import type { OutboxOwner } from "../outbox.ts";
import type { ExpelReason } from "../joins.ts";
import type { Requests } from "../requests.ts";
import type { Room } from "../room.ts";
import type { Turn } from "../turn.ts";
import { frameText } from "../wire.ts";
import type { Cursors } from "./cursors.ts";
import { encodeEvent, type EventEncoder } from "./events.ts";
import { EventOutbox } from "./outbox.ts";
import { backoffMs, breakMs, spread, waitMs } from "./retry.ts";

/** A reader that does not take the end of its stream is cut after this. */
const farewellMs = 5_000;
/** RFC 6455's code for a connection that went away without a word; here it is only counted. */
const vanished = 1006;

const comment = Buffer.from(":\n\n");

export interface StreamContext {
  readonly turn: Turn;
  readonly outboxBytes: number;
  readonly graceMs: number;
  readonly monotonic: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly encoder: EventEncoder;
  readonly requests: Requests;
  readonly logger: Logger;
  readonly counts: Counts;
  /** Called once, when the stream has ended, whoever ended it. */
  readonly ended: (stream: Stream, code: number) => void;
}

/**
 * A connection over SSE (P-70): it is in rooms as any other and says nothing.
 *
 * The answer has no length and no chunks and ends with its connection. So an event is the same bytes for every listener,
 * and they go straight to the socket as frames do, with no writes for the seams of chunks.
 */
export class Stream implements Connected, OutboxOwner {
  readonly id: string;
  readonly address: string;
  readonly stream: Duplex;
  readonly outbox: EventOutbox;
  readonly compressor: undefined = undefined;
  readonly joined: Map<string, Room> = new Map();
  readonly pending = 0;
  joining = 0;
  closed = false;
  isWelcome = false;
  identity: Identity = { user: "" };
  retryAfterMs = 0;
  /** Monotonic: until when the credentials must be checked; undefined: they are. */
  checkBy: number | undefined;
  /** Monotonic: when the last comment went out. */
  commentedAt: number;
  readonly #context: StreamContext;
  readonly openedAt: number;
  readonly #response: ServerResponse;

  /** `socket` is that of the response. */
  constructor(
    context: StreamContext,
    response: ServerResponse,
    { id, address, socket, cursors }: { id: string; address: string; socket: Duplex; cursors: Cursors },
  ) {
    this.#context = context;
    this.#response = response;
    this.id = id;
    this.address = address;
    this.stream = socket;
    this.outbox = new EventOutbox(this, context.encoder, cursors);
    this.openedAt = this.commentedAt = context.monotonic();
    response.on("close", () => this.#lost());
  }

  get turn(): Turn {
    return this.#context.turn;
  }

  get outboxBytes(): number {
    return this.#context.outboxBytes;
  }

  get user(): string {
    return this.identity.user;
  }

  get isOpen(): boolean {
    return this.stream.writable;
  }

  get isGone(): boolean {
    return this.stream.destroyed;
  }

  /** Answers with 200 and the first event. All that was refused before this can still be told by a status. */
  open(welcome: string): void {
    this.#begin();
    const retry = `retry: ${spread(breakMs, this.#context.random)}\n`;
    this.outbox.pushRaw(Buffer.from(retry));
    this.isWelcome = true;
    this.commentedAt = this.#context.monotonic();
    this.send(welcome);
  }

  send(text: string): void {
    this.outbox.push(frameText(text));
  }

  /** P-72. */
  comment(): void {
    this.commentedAt = this.#context.monotonic();
    this.outbox.pushRaw(comment);
  }

  /** P-73: `closed` is the last event. */
  close(code: number, reason: string): void {
    if (this.closed) return;
    this.outbox.flush();
    // Writing can have found the reader too slow, which closed it.
    if (this.closed) return;
    this.#end(code);
    this.#farewell(encodeFrame({ type: "closed", code, reason }), this.#retryMs(code));
  }

  fellBehind(): void {
    for (const room of this.joined.values()) room.fellBehind(this);
  }

  overflowed(): void {
    const code = closeCodes.slowReader;
    this.#end(code);
    this.#farewell(encodeFrame({ type: "closed", code, reason: "too slow a reader" }), this.#retryMs(code));
  }

  /** P-73: a refusal that passes by itself, in place of the stream. */
  refuse(error: string, retryMs: number): void {
    if (this.closed) return;
    this.#end(closeCodes.tryLater);
    this.#farewell(error, retryMs);
  }

  /** Gives the response back, unanswered, for a refusal that is final. */
  giveUp(): void {
    if (!this.closed) this.#end(closeCodes.unauthorized);
  }

  expel(room: Room, reason: ExpelReason): void {
    this.#logLeave(this.#context.requests.joins.expel(this, room, reason));
  }

  /** A stream sends no requests. */
  stopReading(): void {}

  terminate(): void {
    this.stream.destroy();
  }

  #begin(): void {
    if (this.#response.headersSent) return;
    // The head waits for `welcome`, at most until the turn's end: a write is a system call.
    this.stream.cork();
    this.outbox.uncorkAtTurnEnd();
    this.#response.useChunkedEncodingByDefault = false;
    this.#response.writeHead(200, streamHeaders).flushHeaders();
  }

  #farewell(text: string, retryMs: number): void {
    this.#begin();
    if (this.isOpen) this.stream.write(encodeEvent(text, this.outbox.cursors.id, retryMs));
    this.#response.end();
    const cut = setTimeout(() => this.stream.destroy(), farewellMs).unref();
    this.stream.once("close", () => clearTimeout(cut));
  }

  /** An EventSource comes back whatever `closed` says, so a code that tells it to stop or wait makes that late. */
  #retryMs(code: number): number {
    const { random } = this.#context;
    switch (closeAction(code)) {
      case "spread":
        return this.retryAfterMs > 0 ? this.retryAfterMs : spread(breakMs, random);
      case "resume":
        return spread(breakMs, random);
      case "backoff":
        return spread(backoffMs, random);
      default:
        return spread(waitMs, random);
    }
  }

  #lost(): void {
    if (!this.closed) this.#end(vanished);
  }

  #end(code: number): void {
    this.closed = true;
    this.outbox.close();
    const graceMs = leavesAtOnce(code) ? 0 : this.#context.graceMs + this.retryAfterMs;
    for (const left of this.#context.requests.joins.leaveAll(this, graceMs)) this.#logLeave(left);
    this.#context.ended(this, code);
  }

  #logLeave(left: Promise<void>): void {
    left.catch((error: unknown) => {
      this.#context.counts.handlerErrors++;
      this.#context.logger.error({ connection: this.id, request: "leave", err: error }, "a handler failed");
    });
  }
}

/** P-72. `Connection: close` because the end of the answer is that of its connection. */
const streamHeaders = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  connection: "close",
};
