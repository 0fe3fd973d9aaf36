import { Outbox, type OutboxOwner } from "../outbox.ts";
import type { Cursors } from "./cursors.ts";
import type { EventEncoder } from "./events.ts";

/**
 * The outbox of a stream. It takes the same buffers as any other and puts them as events; what was pushed in one turn,
 * the bound, and waiting for the reader are those of every outbox.
 */
export class EventOutbox extends Outbox {
  /** Where the stream stands after all that was pushed. */
  cursors: Cursors;
  readonly #encoder: EventEncoder;

  constructor(owner: OutboxOwner, encoder: EventEncoder, cursors: Cursors) {
    super(owner);
    this.#encoder = encoder;
    this.cursors = cursors;
  }

  override push(frames: Buffer): void {
    // What is not sent must not move the cursors either: the last event tells them (P-71).
    if (!this.isOpen) return;
    const { bytes, cursors } = this.#encoder.encode(frames, this.cursors);
    this.cursors = cursors;
    super.push(bytes);
  }

  /** Bytes that are events, or a comment, already. */
  pushRaw(bytes: Buffer): void {
    super.push(bytes);
  }
}
