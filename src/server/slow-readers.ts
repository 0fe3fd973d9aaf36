import { formatCursor } from "../protocol/cursor.ts";
import { encodeFrame } from "../protocol/encode.ts";
import type { Broadcast } from "./broadcast.ts";
import type { Counts } from "./metrics/counts.ts";
import type { Peer } from "./peer.ts";
import type { Turn } from "./turn.ts";
import { frameTexts } from "./wire.ts";

/** What a waiting message costs beside its bytes: the bound is one of memory, however small the messages are. */
const entryBytes = 256;
/** Where a turn has collected so large a share of what may be pushed at once, members are looked at before it grows further. */
const batchShare = 0.25;

/** The room, as far as its slow readers need it. */
export interface SlowRoom {
  readonly name: string;
  readonly kept: boolean;
  readonly epoch: string;
  /** The newest offset that went to the members who follow live. */
  readonly position: number;
}

/** A message on its way to the members. */
export interface Passing {
  /** Its frame. */
  readonly text: string;
  /** As `encodeBody` made it. */
  readonly body: string;
  /** Absent in a room without a log. */
  readonly offset?: number;
  /** Its predecessor's offset. */
  readonly before?: number;
  /** Gets `skip` in its place. */
  readonly except: Peer | undefined;
}

interface Waiting {
  readonly text: string;
  readonly offset: number;
  readonly before: number;
  readonly cost: number;
}

/** A member who does not get the stream while its outbox is congested. */
interface Lag {
  /** Where its stream stood when that began. */
  readonly at: number;
  /** The last message that it will not get and that only `gap` can tell of; -1: there is none. */
  lost: number;
  /** The newest message of each event, oldest first; all after `lost`. Empty by `drop`. */
  readonly waiting: Map<string, Waiting>;
}

/**
 * Members of one room whose connections do not take what they are sent (P-35, P-38). The room's messages pass them by, and
 * are told by `gap` or `skip` when the outbox has drained; all else that is sent to them is not touched.
 *
 * By `drop` such a member costs a number. By `latest` the newest message of each event waits, within what the outbox has
 * left to hold; beyond it the oldest of them are dropped, as by `drop`.
 */
export class SlowReaders {
  readonly #room: SlowRoom;
  readonly #policy: "drop" | "latest";
  readonly #stream: Broadcast<Peer>;
  readonly #turn: Turn;
  readonly #counts: Counts;
  readonly #lags: Map<Peer, Lag> = new Map();
  /** For how much of what the turn has collected the members were looked at, and how often it was flushed by then. */
  #lookedAtBytes = 0;
  #lookedAtFlushes = 0;

  constructor(room: SlowRoom, policy: "drop" | "latest", stream: Broadcast<Peer>, turn: Turn, counts: Counts) {
    this.#room = room;
    this.#policy = policy;
    this.#stream = stream;
    this.#turn = turn;
    this.#counts = counts;
  }

  /** Where the stream of a member stands who is behind. */
  at(peer: Peer): number | undefined {
    return this.#lags.get(peer)?.at;
  }

  /** The member's outbox is congested: the stream passes it by from here on, until it has drained. */
  take(peer: Peer): void {
    if (!this.#stream.listeners.has(peer)) return;
    this.#stream.remove(peer);
    const lag = { at: this.#room.position, lost: -1, waiting: new Map<string, Waiting>() };
    this.#lags.set(peer, lag);
    this.#counts.slow.readers[this.#policy]++;
    void this.#waitFor(peer, lag);
  }

  /** Called for each message before it goes to the stream, and before the room's position is that of it. */
  passes(message: Passing): void {
    this.#makeRoom(Buffer.byteLength(message.text));
    if (this.#lags.size === 0) return;
    const event = eventText(message.body);
    for (const [peer, lag] of this.#lags) if (message.except !== peer) this.#keep(peer, lag, event, message);
  }

  /** Tells a member what was left out for it, after which it follows the stream again. */
  release(peer: Peer): void {
    const lag = this.#lags.get(peer);
    if (lag === undefined) return;
    const texts = this.#texts(lag);
    this.forget(peer);
    if (texts.length > 0) {
      const { bytes } = frameTexts(texts);
      peer.outbox.push(bytes);
      this.#counts.messages.frames += lag.waiting.size;
      this.#counts.messages.bytes += bytes.length;
    }
    this.#stream.add(peer);
  }

  /** The log jumps: what was left out before belongs to the part of it that ends here. */
  releaseAll(): void {
    for (const peer of this.#lags.keys()) this.release(peer);
  }

  /** Nothing is told: the member has left, or is sent all of it from the log. */
  forget(peer: Peer): void {
    for (const { cost } of this.#lags.get(peer)?.waiting.values() ?? []) peer.outbox.heldBytes -= cost;
    this.#lags.delete(peer);
  }

  async #waitFor(peer: Peer, lag: Lag): Promise<void> {
    // Well under the mark at which it became congested, so that a reader at the edge is not told of a gap at every turn.
    await peer.outbox.drained(peer.outbox.shareBytes / 2);
    if (this.#lags.get(peer) === lag) this.release(peer);
  }

  /**
   * What one turn brings, into this room and others, can be more than an outbox takes. So, before it grows that far for one
   * of the members, it is written: then it shows who is slow, and that is passed by from there on.
   */
  #makeRoom(bytes: number): void {
    const turn = this.#turn;
    turn.collectedBytes += bytes;
    if (this.#lookedAtFlushes !== turn.flushes) this.#lookedAtBytes = 0;
    this.#lookedAtFlushes = turn.flushes;
    for (const { outbox } of this.#stream.listeners) {
      if (turn.collectedBytes - this.#lookedAtBytes < outbox.shareBytes * batchShare) return;
      if (outbox.waitingBytes + outbox.pushedBytes + turn.collectedBytes < outbox.shareBytes * 2) continue;
      turn.flushNow();
      turn.collectedBytes = bytes;
      return;
    }
    this.#lookedAtBytes = turn.collectedBytes;
  }

  #keep(peer: Peer, lag: Lag, event: string, { text, offset = 0, before = 0 }: Passing): void {
    const { outbox } = peer;
    const { waiting } = lag;
    if (this.#policy === "drop") {
      this.#drop(lag, offset);
      return;
    }
    const older = waiting.get(event);
    if (older !== undefined) {
      outbox.heldBytes -= older.cost;
      this.#counts.slow.replaced++;
    }
    // Last among them, as it is the newest of all.
    waiting.delete(event);
    const cost = Buffer.byteLength(text) + entryBytes;
    waiting.set(event, { text, offset, before, cost });
    outbox.heldBytes += cost;
    for (const [oldest, { offset: at, cost: freed }] of waiting) {
      if (outbox.heldBytes <= outbox.holdableBytes) return;
      waiting.delete(oldest);
      outbox.heldBytes -= freed;
      this.#drop(lag, at);
    }
  }

  #drop(lag: Lag, offset: number): void {
    lag.lost = offset;
    this.#counts.slow.dropped++;
  }

  /** P-32: what was left out, told in its place, and what waited. */
  #texts({ at, lost, waiting }: Lag): string[] {
    const { name: room, kept, epoch, position } = this.#room;
    const texts: string[] = [];
    if (lost >= 0) {
      const cursor = kept ? { cursor: formatCursor({ epoch, offset: lost }) } : {};
      texts.push(encodeFrame({ type: "gap", room, ...cursor, reason: "slow" }));
    }
    let told = Math.max(at, lost);
    for (const { text, offset, before } of waiting.values()) {
      if (kept && before > told) texts.push(encodeFrame({ type: "skip", room, offset: before }));
      texts.push(text);
      told = offset;
    }
    if (kept && position > told) texts.push(encodeFrame({ type: "skip", room, offset: position }));
    return texts;
  }
}

/** A body begins with its event, as JSON text. */
function eventText(body: string): string {
  return /^"event":("(?:[^"\\]|\\.)*")/.exec(body)?.[1] ?? "";
}
