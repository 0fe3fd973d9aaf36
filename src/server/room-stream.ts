import type { Backend, Jump, LogEntry, LogState, RoomRef } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { encodeFrame, encodeMessage, messagePrefix } from "../protocol/encode.ts";
import { Broadcast } from "./broadcast.ts";
import { refOf, type RoomKind } from "./catalog.ts";
import type { Counts } from "./metrics/counts.ts";
import type { Peer } from "./peer.ts";
import { Replay, type Replayed } from "./replay.ts";
import { SlowReaders, type SlowRoom } from "./slow-readers.ts";
import { fromNow, type Start } from "./start.ts";
import type { Turn } from "./turn.ts";

/** What a room's stream needs of its surroundings. */
export interface RoomStreamContext {
  readonly backend: Backend;
  readonly turn: Turn;
  readonly counts: Counts;
}

/**
 * A room's messages on their way to its members, in one order (P-32): live as they come, from the log to whoever is behind
 * (P-22), and past whoever does not take them (P-35, P-38). Where the room stands in its log is what went out here last.
 */
export class RoomStream implements Replayed, SlowRoom {
  readonly name: string;
  readonly ref: RoomRef;
  readonly kept: boolean;
  epoch = "";
  position = 0;
  readonly #backend: Backend;
  readonly #counts: Counts;
  readonly #prefix: string;
  readonly #live: Broadcast<Peer>;
  /** Of members who have not caught up with the stream. */
  readonly #replays: Map<Peer, Replay> = new Map();
  /** Absent where slow readers are cut off. */
  readonly #slow: SlowReaders | undefined;

  constructor(name: string, { keep, slow }: RoomKind, { backend, turn, counts }: RoomStreamContext) {
    this.name = name;
    this.kept = keep !== false;
    this.ref = refOf(name, { keep });
    this.#backend = backend;
    this.#counts = counts;
    this.#prefix = messagePrefix(name);
    this.#live = new Broadcast(turn, false, counts.messages);
    if (slow !== "disconnect") this.#slow = new SlowReaders(this, slow, this.#live, turn, counts);
  }

  /** Where the log stood when it was subscribed to; what was told since then counts more. */
  subscribed({ epoch, head }: LogState): void {
    if (this.epoch === "") this.epoch = epoch;
    if (this.epoch === epoch) this.position = Math.max(this.position, head);
  }

  appended(entry: LogEntry, except: Peer | undefined): void {
    const text = encodeMessage(this.#prefix, entry);
    const { offset, prev: before = offset - 1 } = entry;
    this.#slow?.passes({ text, body: entry.body, offset, before, except });
    this.position = offset;
    if (except === undefined) this.#live.push(text);
    else this.#live.push(text, except, this.#skip(offset));
  }

  /** A message of a room without a log. */
  relayed(frame: string, except: Peer | undefined): void {
    this.#slow?.passes({ text: frame, body: frame.slice(this.#prefix.length), except });
    this.#live.push(frame, except);
  }

  /** P-35: what lies before `to` will not come; a member who is still being served from the log learns it there. */
  jumped(to: Jump): void {
    this.#slow?.releaseAll();
    // The log that they were served from is no more.
    if (to.reason === "epoch") for (const peer of this.#replays.keys()) this.#goLive(peer);
    this.epoch = to.epoch;
    this.position = to.offset;
    this.#live.push(this.#gap(to));
  }

  /** A room without a log may have lost messages here. */
  interrupted(): void {
    this.#slow?.releaseAll();
    this.#live.push(encodeFrame({ type: "gap", room: this.name, reason: "trimmed" }));
  }

  /** A start that was settled in another life of the log is none: there, the client's position means nothing. */
  current(start: Start): Start {
    if (!this.kept || start.epoch === this.epoch) return start;
    return fromNow(this.epoch, start.recovered === undefined ? undefined : false);
  }

  /** Where the stream of a member stands. */
  at(peer: Peer): number {
    return this.#replays.get(peer)?.at ?? this.#slow?.at(peer) ?? this.position;
  }

  /** The member gets all after `start`: from the log what came before now, then live. */
  start(peer: Peer, { from }: Start): void {
    if (from === undefined || from >= this.position) {
      this.#live.add(peer);
      return;
    }
    const replay = new Replay(this.#backend, this, peer, from, () => this.#goLive(peer));
    this.#replays.set(peer, replay);
    void replay.run();
  }

  /** The member gets what was pushed so far, or is told that it was left out, and nothing more. */
  stop(peer: Peer): void {
    this.#replays.get(peer)?.stop();
    this.#replays.delete(peer);
    this.#slow?.release(peer);
    this.#live.remove(peer);
  }

  /** The member gets it all from the log again, so it need not be told of what was left out. */
  recovers(peer: Peer): void {
    this.#slow?.forget(peer);
  }

  /** Hands the connection's outbox all that was pushed for it so far. */
  settle(peer: Peer): void {
    this.#live.settle(peer);
  }

  /** The connection takes less than it is sent: what becomes of the messages to it is the room's policy. */
  fellBehind(peer: Peer): void {
    this.#slow?.take(peer);
  }

  frameFor(entry: LogEntry, peer: Peer): string {
    return entry.except === peer.id ? this.#skip(entry.offset) : encodeMessage(this.#prefix, entry);
  }

  tellGap(peer: Peer, to: Jump): void {
    peer.send(this.#gap(to));
  }

  replayed(messages: number): void {
    this.#counts.replayed += messages;
  }

  #goLive(peer: Peer): void {
    this.#replays.get(peer)?.stop();
    this.#replays.delete(peer);
    this.#live.add(peer);
  }

  #gap({ epoch, offset, reason }: Jump): string {
    return encodeFrame({ type: "gap", room: this.name, cursor: formatCursor({ epoch, offset }), reason });
  }

  #skip(offset: number): string {
    return encodeFrame({ type: "skip", room: this.name, offset });
  }
}
