import type { Backend, Jump, LogEntry, LogState, RoomListener, RoomRef, Subscription } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { encodeFrame, encodeMessage, messagePrefix } from "../protocol/encode.ts";
import { rights as allRights, type JoinedFrame, type Right } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import { Broadcast } from "./broadcast.ts";
import type { RoomKind } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import { RoomLink } from "./cluster/room-link.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Counts } from "./metrics/counts.ts";
import type { Peer } from "./peer.ts";
import { Presence } from "./presence.ts";
import { encodeRelay, readRelay, type RelayKind } from "./relay.ts";
import { Replay, type Replayed } from "./replay.ts";
import { SlowReaders } from "./slow-readers.ts";
import { fromNow, type Start } from "./start.ts";
import type { Turn } from "./turn.ts";

/** One connection's place in one room. */
export interface Membership {
  readonly peer: Peer;
  /** Monotonic. */
  readonly since: number;
  rights: ReadonlySet<Right>;
  /** Whether presence frames go to it (P-42). */
  watches: boolean;
  /** Runs until the connection has caught up with the stream. */
  replay: Replay | undefined;
}

export interface Entrance {
  readonly re: string | undefined;
  readonly rights: ReadonlySet<Right>;
  readonly presence: boolean | undefined;
  readonly data: Json | undefined;
  /** undefined: joined again without `since` and `history`, so the stream goes on (P-24). */
  readonly start: Start | undefined;
}

/** What a room needs of its surroundings. */
export interface RoomContext {
  readonly backend: Backend;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly presenceMembers: number;
  readonly counts: Counts;
  readonly peer: (id: string) => Peer | undefined;
  /** Undefined: this node is the only one. */
  readonly cluster: Cluster | undefined;
  /** The room has neither members nor anyone in the grace. */
  readonly emptied: (room: Room) => void;
}

/** Who hears of a room in another form than its members do, in the same order; it holds the room open. */
export interface Tap {
  appended(entry: LogEntry, except: Peer | undefined): void;
  relayed(kind: RelayKind, frame: string, except: Peer | undefined): void;
  /** Called when the room stands at `to`. */
  jumped(to: Jump): void;
}

/** A room that has members on this node: who they are, what goes to them, and in what order (P-32). */
export class Room implements RoomListener, Replayed {
  readonly name: string;
  readonly kind: RoomKind;
  /** What is kept of this room; a room without a log never reads it. */
  readonly ref: RoomRef;
  readonly members: Map<Peer, Membership> = new Map();
  readonly presence: Presence;
  readonly taps: Set<Tap> = new Set();
  epoch = "";
  position = 0;
  /** Joins under way: while there are any, the room stays open. */
  holds = 0;
  readonly #context: RoomContext;
  readonly #prefix: string;
  readonly #stream: Broadcast<Peer>;
  readonly #signals: Broadcast<Peer>;
  readonly #watchers: Broadcast<Peer>;
  readonly #link: RoomLink | undefined;
  /** Absent where slow readers are cut off. */
  readonly #slow: SlowReaders | undefined;
  #subscription: Subscription | undefined;

  constructor(name: string, kind: RoomKind, context: RoomContext) {
    this.name = name;
    this.kind = kind;
    this.ref = { name, keep: kind.keep === false ? { messages: 0, ms: 0 } : kind.keep };
    this.#context = context;
    this.#prefix = messagePrefix(name);
    this.#stream = new Broadcast(context.turn, false, context.counts.messages);
    this.#signals = new Broadcast(context.turn, true, context.counts.signalFrames);
    this.#watchers = new Broadcast(context.turn, false, context.counts.presence);
    const { slow } = kind;
    if (slow !== "disconnect") this.#slow = new SlowReaders(this, slow, this.#stream, context.turn, context.counts);
    this.presence = new Presence(name, context.presenceMembers, context.clock, {
      changed: (frame) => this.#watchers.push(encodeFrame(frame)),
      graceEnded: () => this.#checkEmpty(),
    });
    const toNodes = (text: string): Promise<void> =>
      context.backend.relay(this.ref, encodeRelay("node", undefined, text));
    this.#link = context.cluster && new RoomLink(context.cluster, { name, presence: this.presence, toNodes });
  }

  get kept(): boolean {
    return this.kind.keep !== false;
  }

  /** Where it rejects, the room is closed. */
  async open(): Promise<void> {
    const subscription = await this.#context.backend.subscribe(this.ref, this).catch((error: unknown) => {
      this.close();
      throw error;
    });
    this.#subscription = subscription;
    // What was told since the subscription began counts more than the state that it began with.
    if (this.epoch === "") this.epoch = subscription.state.epoch;
    if (this.epoch === subscription.state.epoch) this.position = Math.max(this.position, subscription.state.head);
    await this.#link?.open(subscription);
  }

  /** See `Subscription.sync`. */
  sync(): Promise<LogState> {
    if (this.#subscription === undefined) throw new Error("the room is not open");
    return this.#subscription.sync();
  }

  close(): void {
    const left = this.#link?.close();
    this.#subscription?.close(left && ((text) => toLeft(left, text)));
    this.presence.close();
  }

  appended(entry: LogEntry): void {
    const text = encodeMessage(this.#prefix, entry);
    const except = entry.except === undefined ? undefined : this.#context.peer(entry.except);
    const { offset, prev: before = offset - 1 } = entry;
    this.#slow?.passes({ text, body: entry.body, offset, before, except });
    this.position = offset;
    if (except === undefined) this.#stream.push(text);
    else this.#stream.push(text, except, this.#skip(entry.offset));
    for (const tap of this.taps) tap.appended(entry, except);
  }

  /** P-35: what lies before `to` will not come; a member who is still being served from the log learns it there. */
  jumped(to: Jump): void {
    const { epoch, offset, reason } = to;
    this.#slow?.releaseAll();
    if (reason === "epoch") {
      // The log that they were served from is no more.
      for (const membership of this.members.values()) this.#stopReplay(membership);
    }
    this.epoch = epoch;
    this.position = offset;
    const cursor = formatCursor({ epoch, offset });
    this.#stream.push(encodeFrame({ type: "gap", room: this.name, cursor, reason }));
    for (const tap of this.taps) tap.jumped(to);
  }

  relayed(text: string): void {
    const relayed = readRelay(text);
    if (relayed.kind === "node") {
      this.#link?.received(relayed.text);
      return;
    }
    const { kind, frame } = relayed;
    const except = relayed.except === undefined ? undefined : this.#context.peer(relayed.except);
    if (kind === "signal") this.#signals.push(frame, except);
    else {
      this.#slow?.passes({ text: frame, body: frame.slice(this.#prefix.length), except });
      this.#stream.push(frame, except);
    }
    for (const tap of this.taps) tap.relayed(kind, frame, except);
  }

  interrupted(): void {
    this.#link?.interrupted();
  }

  frameFor(entry: LogEntry, peer: Peer): string {
    return entry.except === peer.id ? this.#skip(entry.offset) : encodeMessage(this.#prefix, entry);
  }

  tellGap(peer: Peer, { epoch, offset, reason }: Jump): void {
    const cursor = formatCursor({ epoch, offset });
    peer.send(encodeFrame({ type: "gap", room: this.name, cursor, reason }));
  }

  replayed(messages: number): void {
    this.#context.counts.replayed += messages;
  }

  /** Takes a connection in, or again; the answer and all that follows it are in order without an await (P-21, P-24). */
  enter(peer: Peer, entrance: Entrance): void {
    const known = this.members.get(peer);
    if (known === undefined) this.presence.enter(peer.user, entrance.data);
    if (known === undefined) this.#context.counts.joined(entrance.start?.recovered);
    const membership = known ?? this.#admit(peer);
    membership.rights = entrance.rights;
    membership.watches = (entrance.presence ?? membership.watches) && entrance.rights.has("presence");
    // One who was taken out while joining again has no stream that could go on.
    const start =
      (entrance.start && this.current(entrance.start)) ??
      (known === undefined ? fromNow(this.epoch, undefined) : undefined);
    // One who gets it all from the log again has missed nothing.
    if (start?.recovered === true) this.#slow?.forget(peer);
    if (start !== undefined) this.#stopStream(membership);
    this.settle(peer);
    peer.send(encodeFrame(this.#joined(membership, { ...entrance, start })));
    if (membership.watches) this.#watchers.add(peer);
    else this.#watchers.remove(peer);
    // After the answer, so that a member who watches is told of the change that its list does not have yet.
    if (known !== undefined && entrance.data !== undefined) this.presence.update(peer.user, entrance.data);
    if (start !== undefined) this.#startStream(membership, start);
  }

  /** Other rights, with the member's new credentials (P-17). */
  setRights(peer: Peer, rights: ReadonlySet<Right>): void {
    const membership = this.members.get(peer);
    if (membership === undefined) return;
    membership.rights = rights;
    if (rights.has("presence")) return;
    membership.watches = false;
    this.#watchers.remove(peer);
  }

  /** Lets a connection go: nothing of the room is sent to it from here on. */
  leave(peer: Peer, graceMs: number): void {
    const membership = this.members.get(peer);
    if (membership === undefined) return;
    this.#stopStream(membership);
    this.#signals.remove(peer);
    this.#watchers.remove(peer);
    this.members.delete(peer);
    this.presence.leave(peer.user, graceMs);
    this.#checkEmpty();
  }

  /** Ends the grace of a user whose connections have gone, if there is one, and the user has not come since `givenAt`. */
  forget(user: string, givenAt: number): void {
    this.presence.remove(user, givenAt);
    this.#checkEmpty();
  }

  /** Ends a join under way; the last one out of an empty room closes it. */
  release(): void {
    this.holds--;
    this.#checkEmpty();
  }

  #admit(peer: Peer): Membership {
    const since = this.#context.clock.monotonic();
    const membership = { peer, since, rights: new Set<Right>(), watches: false, replay: undefined };
    this.members.set(peer, membership);
    this.#signals.add(peer);
    return membership;
  }

  #joined(membership: Membership, { re, start, presence }: Entrance): JoinedFrame {
    const at = start?.from ?? membership.replay?.at ?? this.#slow?.at(membership.peer) ?? this.position;
    const list = presence === true ? this.presence.list() : undefined;
    return {
      type: "joined",
      ...(re !== undefined && { re }),
      room: this.name,
      ...(this.kept ? { cursor: formatCursor({ epoch: this.epoch, offset: at }) } : { kept: false }),
      replay: start?.replay ?? 0,
      ...(start?.recovered !== undefined && { recovered: start.recovered }),
      members: this.presence.size,
      rights: allRights.filter((right) => membership.rights.has(right)),
      ...(list !== undefined && { presence: list }),
    };
  }

  /** A start that was settled in another life of the log is none: there, the client's position means nothing. */
  current(start: Start): Start {
    if (!this.kept || start.epoch === this.epoch) return start;
    return fromNow(this.epoch, start.recovered === undefined ? undefined : false);
  }

  #startStream(membership: Membership, start: Start): void {
    const { peer } = membership;
    if (start.from === undefined || start.from >= this.position) {
      this.#stream.add(peer);
      return;
    }
    const replay = new Replay(this.#context.backend, this, peer, start.from, () => {
      membership.replay = undefined;
      this.#stream.add(peer);
    });
    membership.replay = replay;
    void replay.run();
  }

  #stopReplay(membership: Membership): void {
    if (membership.replay === undefined) return;
    membership.replay.stop();
    membership.replay = undefined;
    this.#stream.add(membership.peer);
  }

  #stopStream(membership: Membership): void {
    membership.replay?.stop();
    membership.replay = undefined;
    this.#slow?.release(membership.peer);
    this.#stream.remove(membership.peer);
  }

  /** Hands the connection's outbox all that was pushed for it so far. */
  settle(peer: Peer): void {
    this.#stream.settle(peer);
    this.#signals.settle(peer);
    this.#watchers.settle(peer);
  }

  /** The connection takes less than it is sent: what becomes of this room's messages to it is the room's policy. */
  fellBehind(peer: Peer): void {
    this.#slow?.take(peer);
  }

  #checkEmpty(): void {
    if (this.members.size === 0 && this.presence.here === 0 && this.holds === 0) this.#context.emptied(this);
  }

  #skip(offset: number): string {
    return encodeFrame({ type: "skip", room: this.name, offset });
  }
}

/** What nodes say in a room that this one has left; all else is for its members. */
function toLeft(left: (text: string) => void, relayed: string): void {
  const read = readRelay(relayed);
  if (read.kind === "node") left(read.text);
}
