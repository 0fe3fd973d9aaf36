import type { Jump, LogEntry, LogState, RoomListener, RoomRef, Subscription } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { encodeFrame } from "../protocol/encode.ts";
import { rights as allRights, type JoinedFrame, type Right } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import { Broadcast } from "./broadcast.ts";
import type { RoomKind } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import { RoomLink } from "./cluster/room-link.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Peer } from "./peer.ts";
import { Presence } from "./presence.ts";
import { encodeRelay, readRelay, type RelayKind } from "./relay.ts";
import { RoomStream, type RoomStreamContext } from "./room-stream.ts";
import { fromNow, type Start } from "./start.ts";

/** One connection's place in one room. */
export interface Membership {
  readonly peer: Peer;
  /** Monotonic. */
  readonly since: number;
  rights: ReadonlySet<Right>;
  /** Whether presence frames go to it (P-42). */
  watches: boolean;
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
export interface RoomContext extends RoomStreamContext {
  readonly clock: Clock;
  readonly presenceMembers: number;
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
  /** Messages of a room without a log may have been lost here. */
  interrupted(): void;
}

/** A room that has members on this node: who they are, and what is told to them besides the room's messages. */
export class Room implements RoomListener {
  readonly name: string;
  readonly kind: RoomKind;
  readonly stream: RoomStream;
  readonly members: Map<Peer, Membership> = new Map();
  readonly presence: Presence;
  readonly taps: Set<Tap> = new Set();
  /** Joins under way: while there are any, the room stays open. */
  holds = 0;
  readonly #context: RoomContext;
  readonly #signals: Broadcast<Peer>;
  readonly #watchers: Broadcast<Peer>;
  readonly #link: RoomLink | undefined;
  #subscription: Subscription | undefined;

  constructor(name: string, kind: RoomKind, context: RoomContext) {
    this.name = name;
    this.kind = kind;
    this.stream = new RoomStream(name, kind, context);
    this.#context = context;
    this.#signals = new Broadcast(context.turn, true, context.counts.signalFrames);
    this.#watchers = new Broadcast(context.turn, false, context.counts.presence);
    this.presence = new Presence(name, context.presenceMembers, context.clock, {
      changed: (frame) => this.#watchers.push(encodeFrame(frame)),
      graceEnded: () => this.#checkEmpty(),
    });
    const toNodes = (text: string): Promise<void> =>
      context.backend.relay(this.ref, encodeRelay("node", undefined, text));
    this.#link = context.cluster && new RoomLink(context.cluster, { name, presence: this.presence, toNodes });
  }

  /** What is kept of this room; a room without a log never reads it. */
  get ref(): RoomRef {
    return this.stream.ref;
  }

  get kept(): boolean {
    return this.stream.kept;
  }

  get epoch(): string {
    return this.stream.epoch;
  }

  get position(): number {
    return this.stream.position;
  }

  /** Where it rejects, the room is closed. */
  async open(): Promise<void> {
    const subscription = await this.#context.backend.subscribe(this.ref, this).catch((error: unknown) => {
      this.close();
      throw error;
    });
    this.#subscription = subscription;
    this.stream.subscribed(subscription.state);
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
    const except = entry.except === undefined ? undefined : this.#context.peer(entry.except);
    this.stream.appended(entry, except);
    for (const tap of this.taps) tap.appended(entry, except);
  }

  jumped(to: Jump): void {
    this.stream.jumped(to);
    for (const tap of this.taps) tap.jumped(to);
  }

  relayed(text: string): void {
    const relayed = readRelay(text, this.#link !== undefined);
    if (relayed.kind === "node") {
      this.#link?.received(relayed.text);
      return;
    }
    const { kind, frame } = relayed;
    const except = relayed.except === undefined ? undefined : this.#context.peer(relayed.except);
    if (kind === "signal") this.#signals.push(frame, except);
    else this.stream.relayed(frame, except);
    for (const tap of this.taps) tap.relayed(kind, frame, except);
  }

  /** What other nodes sent meanwhile is lost where no log has it, and told as all that is lost (P-35). */
  interrupted(): void {
    this.#link?.interrupted();
    if (this.kept) return;
    this.stream.interrupted();
    for (const tap of this.taps) tap.interrupted();
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
      (entrance.start && this.stream.current(entrance.start)) ??
      (known === undefined ? fromNow(this.epoch, undefined) : undefined);
    if (start?.recovered === true) this.stream.recovers(peer);
    if (start !== undefined) this.stream.stop(peer);
    this.settle(peer);
    peer.send(encodeFrame(this.#joined(membership, { ...entrance, start })));
    if (membership.watches) this.#watchers.add(peer);
    else this.#watchers.remove(peer);
    // After the answer, so that a member who watches is told of the change that its list does not have yet.
    if (known !== undefined && entrance.data !== undefined) this.presence.update(peer.user, entrance.data);
    if (start !== undefined) this.stream.start(peer, start);
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
    this.stream.stop(peer);
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
    const membership = { peer, since, rights: new Set<Right>(), watches: false };
    this.members.set(peer, membership);
    this.#signals.add(peer);
    return membership;
  }

  #joined(membership: Membership, { re, start, presence }: Entrance): JoinedFrame {
    const at = start?.from ?? this.stream.at(membership.peer);
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

  /** Hands the connection's outbox all that was pushed for it so far. */
  settle(peer: Peer): void {
    this.stream.settle(peer);
    this.#signals.settle(peer);
    this.#watchers.settle(peer);
  }

  /** The connection takes less than it is sent: what becomes of this room's messages to it is the room's policy. */
  fellBehind(peer: Peer): void {
    this.stream.fellBehind(peer);
  }

  #checkEmpty(): void {
    if (this.members.size === 0 && this.presence.here === 0 && this.holds === 0) this.#context.emptied(this);
  }
}

/** What nodes say in a room that this one has left; all else is for its members. */
function toLeft(left: (text: string) => void, relayed: string): void {
  const read = readRelay(relayed, true);
  if (read.kind === "node") left(read.text);
}
