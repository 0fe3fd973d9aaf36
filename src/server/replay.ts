import type { Backend, Jump, LogEntry, RoomRef } from "../backends/backend.ts";
import { closeCodes } from "../protocol/codes.ts";
import type { Peer } from "./peer.ts";
import { frameTexts, type Payload } from "./wire.ts";

/** Entries that one read of the log brings; what is sent of them waits for the reader. */
const pageEntries = 128;
/** What is framed and written at once, where the outbox has the room for it. */
const maxChunkBytes = 131_072;

/** The room that is replayed, as far as a replay needs it. */
export interface Replayed {
  readonly name: string;
  readonly ref: RoomRef;
  readonly epoch: string;
  /** The newest offset that went to the members who follow live. */
  readonly position: number;
  /** Counts what was sent from the log. */
  replayed?(messages: number): void;
  /** The entry as this peer gets it; undefined: nothing is sent of it. */
  frameFor(entry: LogEntry, peer: Peer): Payload | undefined;
  /** P-35: what lies before `to` will not come. */
  tellGap(peer: Peer, to: Jump): void;
}

/**
 * Sends one peer what a room's log holds after an offset, until it has caught up with the room's live stream (P-22). The
 * log itself is the buffer: nothing is held in memory for a peer that is behind, however far, and the step from the log
 * to the stream is taken without an await in between, so that no message falls into it or comes twice.
 */
export class Replay {
  /** The offset of the last message that was sent. */
  at: number;
  readonly #backend: Backend;
  readonly #room: Replayed;
  readonly #peer: Peer;
  readonly #caughtUp: () => void;
  #stopped = false;

  constructor(backend: Backend, room: Replayed, peer: Peer, from: number, caughtUp: () => void) {
    this.#backend = backend;
    this.#room = room;
    this.#peer = peer;
    this.at = from;
    this.#caughtUp = caughtUp;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    try {
      while (!this.#stopped && this.at < this.#room.position) await this.#page();
    } catch {
      // The peer's place in the stream cannot be kept: it resumes over a new connection.
      if (!this.#stopped) this.#peer.close(closeCodes.tryLater, "the log cannot be read");
      return;
    }
    if (!this.#stopped) this.#caughtUp();
  }

  async #page(): Promise<void> {
    const { ref, position, epoch } = this.#room;
    const read = await this.#backend.read(ref, this.at, pageEntries, epoch);
    if (this.#stopped) return;
    // What the log holds past the room's position comes by the live stream: a log that several nodes share may be ahead.
    const entries = read.filter(({ offset }) => offset <= this.#room.position);
    const first = entries[0];
    if (first === undefined) this.#tellGap(position);
    else if ((first.prev ?? first.offset - 1) > this.at) this.#tellGap(first.prev ?? first.offset - 1);
    await this.#send(entries);
  }

  /** P-35: what was trimmed while this peer was being served is lost to it. */
  #tellGap(to: number): void {
    this.at = to;
    this.#room.tellGap(this.#peer, { epoch: this.#room.epoch, offset: to, reason: "trimmed" });
  }

  async #send(entries: readonly LogEntry[]): Promise<void> {
    const { outbox } = this.#peer;
    const chunkBytes = Math.min(maxChunkBytes, outbox.shareBytes);
    let texts: Payload[] = [];
    let size = 0;
    for (const entry of entries) {
      const text = this.#room.frameFor(entry, this.#peer);
      if (text !== undefined) texts.push(text);
      size += text?.length ?? 0;
      if (size < chunkBytes && entry !== entries.at(-1)) continue;
      // Replays in other rooms may have waited for the same space in the outbox, so it is looked at again after each wait.
      while (outbox.congested && outbox.isOpen) await outbox.drained();
      if (this.#stopped) return;
      if (texts.length > 0) outbox.push(frameTexts(texts).bytes);
      this.#room.replayed?.(texts.length);
      this.at = entry.offset;
      texts = [];
      size = 0;
      await outbox.drained();
      if (this.#stopped) return;
    }
  }
}
