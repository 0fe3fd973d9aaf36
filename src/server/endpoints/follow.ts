import type { Contract, EventNameOf, EventsOf, OutputOf, Schemas, SignalsOf, SpecOf } from "../../protocol/contract.ts";
import { formatCursor, parseCursor } from "../../protocol/cursor.ts";
import type { RoomKind } from "../catalog.ts";
import type { Clock } from "../clock.ts";
import type { Limits } from "../options.ts";
import type { Room } from "../room.ts";
import type { Rooms } from "../rooms.ts";
import { planStart, startUnkept, type Start } from "../start.ts";
import type { RawConnection } from "./connection.ts";
import { Follower, followKey, Followers, type FollowedGap, type FollowersContext } from "./followers.ts";
import { encodePayload, type Sendable } from "./payload.ts";
import { EndpointSocket } from "./socket.ts";

export interface FollowContext extends FollowersContext {
  readonly rooms: Rooms;
  readonly clock: Clock;
  readonly limits: Limits;
}

type OneOf<T extends Schemas, Facts> = {
  [E in EventNameOf<T>]: { readonly event: E; readonly data: OutputOf<T, E> } & Facts;
}[EventNameOf<T>];

interface FollowedFacts {
  readonly room: string;
  /** The publisher; absent on the server's own. */
  readonly from?: string;
  /** Milliseconds since 1970 by the server's clock. Order is by offset, never by time. */
  readonly at: number;
}

interface MessageFacts extends FollowedFacts {
  /** Absent in a room without a log, as `cursor` is. */
  readonly offset?: number;
  /** For a peer to remember: given back as `since`, it gets what comes after this message. */
  readonly cursor?: string;
  /** The publisher's key (P-31). */
  readonly key?: string;
}

/** A message of the room `N`, as `map` gets it. */
export type FollowedMessage<C extends Contract = Contract, N extends string = string> = OneOf<
  EventsOf<SpecOf<C, N>>,
  MessageFacts
>;
/** A signal of the room `N`, as `signal` gets it. */
export type FollowedSignal<C extends Contract = Contract, N extends string = string> = OneOf<
  SignalsOf<SpecOf<C, N>>,
  FollowedFacts
>;

/**
 * How a socket follows a room. Where many sockets follow with the same functions (declared once, not in the handler), what
 * these make is made once and sent to all; so they know nothing of one socket.
 */
export interface FollowOptions<M = FollowedMessage, G = FollowedSignal> {
  /** A message in the app's own format, as by `socket.send`; undefined: nothing is sent of it. Where it throws: close 1011. */
  readonly map: (message: M) => Sendable | undefined;
  /** A signal. Absent: none are sent. A socket that reads slowly gets fewer (P-34). */
  readonly signal?: (signal: G) => Sendable | undefined;
  /** Tells the peer that messages are lost to it (P-35). Absent: the socket is closed with 1013, so that it loads anew. */
  readonly gap?: (gap: FollowedGap) => Sendable | undefined;
  /** What this socket is sent before anything of the room, e.g. its cursor. */
  readonly started?: (start: FollowStart) => Sendable | undefined;
  /** The cursor of the last message that the peer has, as it came from there. One that is malformed is not recovered. */
  readonly since?: string | null | undefined;
  /** So many of the past; with `since`, only where that was not recovered. */
  readonly history?: number | undefined;
}

/** Where the stream of a follower begins (P-21, P-22). */
export interface FollowStart {
  /** What follows continues right after it; undefined in a room without a log. */
  readonly cursor: string | undefined;
  /** So many of the messages that follow are the past. */
  readonly replay: number;
  /** With `since`: whether everything after it follows. `false`: the peer has to load its state anew. */
  readonly recovered: boolean | undefined;
}

/** A room that a socket follows. */
export interface Following extends FollowStart {
  /** Nothing of the room is sent from here on. A socket that ends stops by itself. */
  stop(): void;
}

/** See `RoomHandle.follow`. */
export async function follow(
  context: FollowContext,
  name: string,
  kind: RoomKind,
  socket: EndpointSocket,
  options: FollowOptions,
): Promise<Following> {
  const { history } = options;
  if (typeof options.map !== "function") throw new TypeError("follow: map must be a function");
  if (history !== undefined && !(Number.isSafeInteger(history) && history >= 0)) {
    throw new RangeError(`follow: history must be a whole number, got ${history}`);
  }
  const connection = EndpointSocket.connectionOf(socket);
  const room = await context.rooms.hold(name, kind);
  let follower: Follower | undefined;
  try {
    const planned = await plan(context, room, options);
    // From here on nothing waits, so that no message falls between its start and the stream.
    const start = room.stream.current(planned);
    const told = describe(room, start);
    if (!connection.closed) follower = begin(context, room, connection, options, { start, told });
    return { ...told, stop: () => follower?.leave(connection) };
  } finally {
    if (follower === undefined) room.release();
  }
}

function plan(
  { backend, clock }: FollowContext,
  room: Room,
  { since, history }: FollowOptions,
): Promise<Start> | Start {
  const asked = typeof since === "string";
  const wanted = {
    // A text that is no cursor is one of a log that is not there.
    since: asked ? (parseCursor(since) ?? { epoch: "", offset: 0 }) : undefined,
    history,
    mayReadHistory: true,
    nowMs: clock.now(),
  };
  return room.kept ? planStart(backend, room, wanted) : startUnkept(wanted);
}

function begin(
  context: FollowContext,
  room: Room,
  connection: RawConnection,
  { map, signal, gap, started }: FollowOptions,
  { start, told }: { start: Start; told: FollowStart },
): Follower | undefined {
  const key = followKey(room.name);
  const most = context.limits.rooms;
  const earlier = connection.groups.get(key);
  if (earlier === undefined && connection.groups.size >= most) {
    throw new RangeError(`a socket can be in ${most} groups and rooms`);
  }
  // All that can throw comes before anything has changed.
  const first = started?.(told);
  const payload = first === undefined ? undefined : encodePayload(first);
  // As one who joins again with `since` (P-24): the stream begins anew.
  earlier?.leave(connection);
  if (payload !== undefined) connection.push(payload);
  // Writing can have found the reader too slow, which closed it.
  if (connection.closed) return undefined;
  const followers = Followers.of(room, { map, signal, gap }, context);
  const follower = new Follower(followers);
  connection.groups.set(key, follower);
  followers.add(connection, start);
  return follower;
}

function describe(room: Room, { from, replay, recovered }: Start): FollowStart {
  const cursor = room.kept ? formatCursor({ epoch: room.epoch, offset: from ?? room.position }) : undefined;
  return { cursor, replay, recovered };
}
