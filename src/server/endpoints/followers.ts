import type { Backend, Jump, LogEntry, RoomRef } from "../../backends/backend.ts";
import { closeCodes } from "../../protocol/codes.ts";
import { formatCursor } from "../../protocol/cursor.ts";
import { decodeJson, encodeKept } from "../../protocol/encode.ts";
import { Broadcast } from "../broadcast.ts";
import type { Counts } from "../metrics/counts.ts";
import type { Logger } from "../options.ts";
import type { Peer } from "../peer.ts";
import { Replay, type Replayed } from "../replay.ts";
import type { RelayKind } from "../relay.ts";
import type { Room, Tap } from "../room.ts";
import type { Start } from "../start.ts";
import type { Turn } from "../turn.ts";
import type { Payload } from "../wire.ts";
import { RawConnection, type Joined } from "./connection.ts";
import { encodePayload, type Sendable } from "./payload.ts";

export interface FollowersContext {
  readonly backend: Backend;
  readonly turn: Turn;
  readonly counts: Counts;
  readonly logger: Logger;
}

/** Messages before `cursor` will not come: see `gap` of the protocol (P-35). */
export interface FollowedGap {
  readonly room: string;
  /** Where the stream goes on; undefined in a room without a log. */
  readonly cursor: string | undefined;
  readonly reason: Jump["reason"];
}

/** The app's own words for what happens in a room, whatever its contract says. */
export interface Format {
  readonly map: (message: never) => Sendable | undefined;
  readonly signal: ((signal: never) => Sendable | undefined) | undefined;
  readonly gap: ((gap: FollowedGap) => Sendable | undefined) | undefined;
}

/**
 * Sockets of endpoints that follow one room in one format. What is made of a message is made once for all of them; one who
 * is behind is served from the log, as a member is (P-22).
 */
export class Followers implements Tap, Replayed {
  readonly room: Room;
  readonly format: Format;
  readonly #context: FollowersContext;
  readonly #stream: Broadcast<RawConnection>;
  readonly #signals: Broadcast<RawConnection>;
  readonly #replays: Map<RawConnection, Replay> = new Map();
  #size = 0;

  constructor(room: Room, format: Format, context: FollowersContext) {
    this.room = room;
    this.format = format;
    this.#context = context;
    this.#stream = new Broadcast(context.turn, false, context.counts.messages);
    this.#signals = new Broadcast(context.turn, true, context.counts.signalFrames);
  }

  /** Those of the room that speak this format, so that sockets with the same functions share what these make. */
  static of(room: Room, format: Format, context: FollowersContext): Followers {
    for (const tap of room.taps) if (tap instanceof Followers && isSame(tap.format, format)) return tap;
    const fresh = new Followers(room, format, context);
    room.taps.add(fresh);
    return fresh;
  }

  get name(): string {
    return this.room.name;
  }

  get ref(): RoomRef {
    return this.room.ref;
  }

  get epoch(): string {
    return this.room.epoch;
  }

  get position(): number {
    return this.room.position;
  }

  add(connection: RawConnection, { from }: Start): void {
    this.#size++;
    this.#signals.add(connection);
    if (from === undefined || from >= this.position) {
      this.#stream.add(connection);
      return;
    }
    const replay = new Replay(this.#context.backend, this, connection, from, () => this.#caughtUp(connection));
    this.#replays.set(connection, replay);
    void replay.run();
  }

  settle(connection: RawConnection): void {
    this.#stream.settle(connection);
    this.#signals.settle(connection);
  }

  remove(connection: RawConnection): void {
    this.#replays.get(connection)?.stop();
    this.#replays.delete(connection);
    this.#stream.remove(connection);
    this.#signals.remove(connection);
    if (--this.#size === 0) this.room.taps.delete(this);
  }

  appended(entry: LogEntry, except: Peer | undefined): void {
    // Those who are being served from the log get it there.
    if (this.#stream.listeners.size === 0) return;
    this.#push(this.#stream, () => this.format.map(this.#messageOf(entry) as never), except);
  }

  relayed(kind: RelayKind, frame: string, except: Peer | undefined): void {
    const { map, signal } = this.format;
    if (kind === "message") this.#push(this.#stream, () => map(decodeJson(frame) as never), except);
    else if (signal !== undefined) this.#push(this.#signals, () => signal(decodeJson(frame) as never), except);
  }

  /** The log that they were served from may be no more; what they follow goes on in the new one (P-35). */
  jumped(to: Jump): void {
    if (to.reason === "epoch") {
      for (const [connection, replay] of [...this.#replays]) {
        replay.stop();
        this.#caughtUp(connection);
      }
    }
    this.#lost(this.#gapOf(to));
  }

  interrupted(): void {
    this.#lost({ room: this.name, cursor: undefined, reason: "trimmed" });
  }

  frameFor(entry: LogEntry, peer: Peer): Payload | undefined {
    if (entry.except === peer.id) return undefined;
    try {
      return payloadOf(this.format.map(this.#messageOf(entry) as never));
    } catch (error) {
      this.#failed(error);
      peer.close(closeCodes.internal, "internal error");
      return undefined;
    }
  }

  tellGap(peer: Peer, to: Jump): void {
    if (this.format.gap === undefined) return peer.close(closeCodes.tryLater, noWordForGaps);
    try {
      const payload = payloadOf(this.format.gap(this.#gapOf(to)));
      if (payload !== undefined && peer instanceof RawConnection) peer.push(payload);
    } catch (error) {
      this.#failed(error);
      peer.close(closeCodes.internal, "internal error");
    }
  }

  replayed(messages: number): void {
    this.#context.counts.replayed += messages;
  }

  #lost(gap: FollowedGap): void {
    if (this.format.gap === undefined) this.#closeAll(closeCodes.tryLater, noWordForGaps);
    else this.#push(this.#stream, () => this.format.gap?.(gap), undefined);
  }

  #caughtUp(connection: RawConnection): void {
    this.#replays.delete(connection);
    this.#stream.add(connection);
  }

  /** Nothing is left out unseen: where the app's function fails, they come back and get it then, or the log tells why not. */
  #push(to: Broadcast<RawConnection>, make: () => Sendable | undefined, except: Peer | undefined): void {
    try {
      const payload = payloadOf(make());
      if (payload !== undefined) to.push(payload, except instanceof RawConnection ? except : undefined);
    } catch (error) {
      this.#failed(error);
      this.#closeAll(closeCodes.internal, "internal error");
    }
  }

  #closeAll(code: number, reason: string): void {
    for (const connection of [...this.#stream.listeners]) connection.close(code, reason);
  }

  #failed(error: unknown): void {
    this.#context.counts.handlerErrors++;
    this.#context.logger.error({ room: this.name, err: error }, "what follows a room cannot be put into words");
  }

  #messageOf(entry: LogEntry): unknown {
    const cursor = formatCursor({ epoch: this.epoch, offset: entry.offset });
    return { room: this.name, cursor, ...(decodeJson(encodeKept(entry)) as object) };
  }

  #gapOf({ epoch, offset, reason }: Jump): FollowedGap {
    return { room: this.name, cursor: formatCursor({ epoch, offset }), reason };
  }
}

/** P-32: a gap is told or the stream ends; a peer that comes back loads its state anew. */
const noWordForGaps = "messages were lost";

/** One socket's place among them. */
export class Follower implements Joined {
  /** No group can be named so: a name has no control characters (P-20). */
  readonly #key: string;
  readonly #followers: Followers;

  constructor(followers: Followers) {
    this.#followers = followers;
    this.#key = followKey(followers.name);
  }

  settle(connection: RawConnection): void {
    this.#followers.settle(connection);
  }

  /** The room was held open for it. */
  leave(connection: RawConnection): void {
    if (connection.groups.get(this.#key) !== this) return;
    connection.groups.delete(this.#key);
    this.#followers.remove(connection);
    this.#followers.room.release();
  }
}

/** Where a connection keeps its place in a room that it follows. */
export function followKey(room: string): string {
  return `\u0001${room}`;
}

function isSame(a: Format, b: Format): boolean {
  return a.map === b.map && a.signal === b.signal && a.gap === b.gap;
}

/** What was pushed stands until the turn's end, and the app may write to its bytes meanwhile. */
function payloadOf(data: Sendable | undefined): Payload | undefined {
  return data === undefined ? undefined : encodePayload(data, "copy");
}
