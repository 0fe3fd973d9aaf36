import { Duplex } from "node:stream";
import { WebSocket } from "ws";
import type { JsonObject } from "../../../src/protocol/json.ts";
import { Outbox, type OutboxOwner } from "../../../src/server/outbox.ts";
import type { Turn } from "../../../src/server/turn.ts";
import { payloads } from "../../../src/server/wire.ts";

/** A stream whose reader stops and goes on as a test says; `written` is what it has read. */
export class Pipe extends Duplex {
  readonly written: Buffer[] = [];
  #stalled: (() => void) | undefined;
  #stalls = false;

  constructor() {
    super({ writableHighWaterMark: 16_384 });
  }

  /** The reader takes nothing from now on. */
  stall(): void {
    this.#stalls = true;
  }

  /** The reader takes what waits and all that comes. */
  resumeReading(): void {
    this.#stalls = false;
    const go = this.#stalled;
    this.#stalled = undefined;
    go?.();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.written);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const take = (): void => {
      this.written.push(chunk);
      done();
    };
    if (this.#stalls) this.#stalled = take;
    else take();
  }
}

/** A WebSocket as far as an outbox looks at it. */
export class FakeSocket {
  readonly OPEN: number = WebSocket.OPEN;
  readyState: number = WebSocket.OPEN;
  bufferedAmount = 0;
  readonly sent: string[] = [];

  send(payload: Buffer): void {
    this.sent.push(payload.toString());
  }
}

export interface OwnerOptions {
  readonly deflated?: boolean;
  readonly outboxBytes?: number;
}

/** The owner of an outbox, over a `Pipe`. */
export class Owner implements OutboxOwner {
  readonly turn: Turn;
  readonly pipe: Pipe = new Pipe();
  readonly fake: FakeSocket = new FakeSocket();
  readonly stream: Duplex = this.pipe;
  readonly compressor: WebSocket | undefined;
  readonly outboxBytes: number;
  readonly outbox: Outbox;
  overflows = 0;

  constructor(turn: Turn, { deflated = false, outboxBytes = 1_048_576 }: OwnerOptions = {}) {
    this.turn = turn;
    this.compressor = deflated ? (this.fake as unknown as WebSocket) : undefined;
    this.outboxBytes = outboxBytes;
    this.outbox = new Outbox(this);
  }

  get isOpen(): boolean {
    return this.fake.readyState === this.fake.OPEN;
  }

  fellBehind(): void {}

  overflowed(): void {
    this.overflows++;
  }

  /** The texts of the frames that the reader has. */
  get texts(): string[] {
    return this.compressor !== undefined ? this.fake.sent : textsOf(this.pipe.bytes);
  }

  get frames(): JsonObject[] {
    return this.texts.map((text) => JSON.parse(text) as JsonObject);
  }
}

export function textsOf(bytes: Buffer): string[] {
  return Array.from(payloads(bytes), (payload) => payload.toString());
}

/** What was queued for the end of this turn of the event loop, and all that it brought about, has run. */
export async function turnEnded(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
