import type { Backend, RoomRef, Subscription } from "../../backends/backend.ts";
import { isObject, parseJson } from "../../protocol/json.ts";
import { isRoomName } from "../../protocol/names.ts";
import { Broadcast } from "../broadcast.ts";
import type { Clock } from "../clock.ts";
import type { Delivered } from "../metrics/counts.ts";
import type { Logger } from "../options.ts";
import type { Turn } from "../turn.ts";
import type { Payload } from "../wire.ts";
import type { Joined, RawConnection } from "./connection.ts";
import { encodePayload, type Sendable } from "./payload.ts";
import { EndpointSocket } from "./socket.ts";

export interface GroupsContext {
  readonly backend: Backend;
  readonly turn: Turn;
  /** What groups deliver is counted with the messages of rooms. */
  readonly delivered: Delivered;
  readonly logger: Logger;
  readonly clock: Clock;
  /** This process's own name, among those that share the backend. */
  readonly node: string;
  /** Whether the backend is open. */
  readonly isOpen: () => boolean;
  /** Groups that one connection can be in. */
  readonly maxGroups: number;
}

/** A group that could not subscribe tries again after this. */
const againMs = 1_000;

/** A group that has sockets on this node; it is gone with the last of them. */
export class GroupState implements Joined {
  readonly name: string;
  readonly broadcast: Broadcast<RawConnection>;
  readonly #left: (group: GroupState) => void;
  /** The timer of another try to subscribe. */
  again: unknown;
  #subscription: Subscription | undefined;
  #closed = false;

  constructor(name: string, { turn, delivered }: GroupsContext, left: (group: GroupState) => void) {
    this.name = name;
    this.broadcast = new Broadcast(turn, false, delivered);
    this.#left = left;
  }

  get sockets(): ReadonlySet<RawConnection> {
    return this.broadcast.listeners;
  }

  join(connection: RawConnection): void {
    connection.groups.set(this.name, this);
    this.broadcast.add(connection);
  }

  settle(connection: RawConnection): void {
    this.broadcast.settle(connection);
  }

  leave(connection: RawConnection): void {
    if (!connection.groups.delete(this.name)) return;
    this.broadcast.remove(connection);
    if (this.sockets.size === 0) this.#left(this);
  }

  subscribed(subscription: Subscription): void {
    if (this.#closed) subscription.close();
    else this.#subscription = subscription;
  }

  close(): void {
    this.#closed = true;
    this.#subscription?.close();
  }
}

/** The groups of this node. */
export class Groups {
  readonly #context: GroupsContext;
  readonly #states: Map<string, GroupState> = new Map();

  constructor(context: GroupsContext) {
    this.#context = context;
  }

  get(name: string): GroupState | undefined {
    return this.#states.get(name);
  }

  names(): string[] {
    return [...this.#states.keys()].sort();
  }

  join(name: string, connection: RawConnection): void {
    if (connection.closed || connection.groups.has(name)) return;
    const { maxGroups } = this.#context;
    if (connection.groups.size >= maxGroups) throw new RangeError(`a socket can be in ${maxGroups} groups`);
    (this.#states.get(name) ?? this.#open(name)).join(connection);
  }

  /** Here at once, and through the backend to the other nodes, which know it by the node that it came from. */
  broadcast(name: string, payload: Payload, except: RawConnection | undefined): void {
    // To the one left out nothing is due, but what went before must stand before whatever it is sent next.
    this.#states.get(name)?.broadcast.push(payload, except);
    if (!this.#context.isOpen()) return;
    const body = typeof payload === "string" ? { text: payload } : { bytes: Buffer.from(payload).toString("base64") };
    const { backend, logger, node } = this.#context;
    backend.relay(refOf(name), JSON.stringify({ node, ...body })).catch((error: unknown) => {
      logger.warn({ group: name, err: error }, "a broadcast did not reach the other nodes");
    });
  }

  #open(name: string): GroupState {
    const state = new GroupState(name, this.#context, (group) => {
      this.#states.delete(group.name);
      this.#context.clock.clearTimeout(group.again);
      group.close();
    });
    this.#states.set(name, state);
    this.#subscribe(state);
    return state;
  }

  #subscribe(state: GroupState): void {
    const { backend, logger, clock, node } = this.#context;
    const relayed = (text: string): void => {
      const payload = readRelay(text, node);
      if (payload !== undefined) state.broadcast.push(payload);
    };
    backend.subscribe(refOf(state.name), { appended: () => undefined, relayed }).then(
      (subscription) => state.subscribed(subscription),
      (error: unknown) => {
        if (state.sockets.size === 0) return;
        // Once: an outage is not told again by every group every second.
        if (state.again === undefined)
          logger.error(
            { group: state.name, err: error },
            "a group hears nothing of other nodes until it is subscribed",
          );
        state.again = clock.setTimeout(() => this.#subscribe(state), againMs);
      },
    );
  }
}

/** No room can be named so: a name has no control characters (P-20). */
function refOf(group: string): RoomRef {
  return { name: `\u0001${group}`, keep: { messages: 0, ms: 0 } };
}

/** What another node sent; undefined: it was this one. Throws on what no node can have sent. */
function readRelay(relayed: string, node: string): Payload | undefined {
  const relay = parseJson(relayed);
  if (isObject(relay) && typeof relay["node"] === "string") {
    if (relay["node"] === node) return undefined;
    if (typeof relay["text"] === "string") return relay["text"];
    if (typeof relay["bytes"] === "string") return Buffer.from(relay["bytes"], "base64");
  }
  throw new SyntaxError("not of a node");
}

/**
 * Sockets of endpoints under one name, to send to together. At most once and without a log: for what must not be lost there
 * are rooms. A group comes into being with its first socket and is gone with its last.
 */
export class Group {
  readonly name: string;
  readonly #groups: Groups;

  /** Throws a TypeError on what P-20 does not let a room be named. */
  constructor(groups: Groups, name: string) {
    if (!isRoomName(name)) throw new TypeError("a group's name is 1 to 255 bytes of NFC without control characters");
    this.#groups = groups;
    this.name = name;
  }

  /** Sockets in it, on this node. */
  get size(): number {
    return this.#groups.get(this.name)?.sockets.size ?? 0;
  }

  /** Joining again changes nothing; a closed socket does not join. Throws a RangeError beyond the limit `rooms`. */
  join(socket: EndpointSocket): void {
    this.#groups.join(this.name, EndpointSocket.connectionOf(socket));
  }

  /** A socket that ends leaves by itself. */
  leave(socket: EndpointSocket): void {
    this.#groups.get(this.name)?.leave(EndpointSocket.connectionOf(socket));
  }

  has(socket: EndpointSocket): boolean {
    return this.#groups.get(this.name)?.sockets.has(EndpointSocket.connectionOf(socket)) ?? false;
  }

  /** The sockets, on this node, in the order in which they joined: to count, to list, and to send to one. */
  sockets(): EndpointSocket[] {
    return Array.from(this.#groups.get(this.name)?.sockets ?? [], ({ facade }) => facade as EndpointSocket);
  }

  /** Sends to all, on every node, but `except`. Encoded once; a reader that is too slow is cut with 4200. */
  broadcast(data: Sendable, { except }: { readonly except?: EndpointSocket } = {}): void {
    this.#groups.broadcast(
      this.name,
      encodePayload(data, "copy"),
      except === undefined ? undefined : EndpointSocket.connectionOf(except),
    );
  }
}
