import { closeCodes } from "../protocol/codes.ts";
import type {
  Contract,
  EventNameOf,
  EventsOf,
  InputOf,
  PersonalSpecOf,
  SignalsOf,
  SpecOf,
} from "../protocol/contract.ts";
import { decodeJson, encodeJson, encodeKept, encodeSignal } from "../protocol/encode.ts";
import type { KeptMessage, Member } from "../protocol/frames.ts";
import { isRoomName } from "../protocol/names.ts";
import { maxHistoryPage } from "../protocol/limits.ts";
import { refOf, type RoomKind } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import type { Operations } from "./cluster/operations.ts";
import type { Connected } from "./connected.ts";
import type { Connections } from "./connections.ts";
import {
  follow,
  type FollowContext,
  type FollowedMessage,
  type FollowedSignal,
  type Following,
  type FollowOptions,
} from "./endpoints/follow.ts";
import type { EndpointSocket } from "./endpoints/socket.ts";
import type { Published, Submitted } from "./publisher.ts";
import { Refused } from "./refused.ts";
import type { RequestContext } from "./requester.ts";
import { messageFacts, tracedPublish } from "./traced.ts";

export interface HandleContext extends RequestContext, FollowContext {
  readonly connections: Connections;
  readonly operations: Operations;
}

/** What the app may say of what it sends, beside event and data. */
export interface ServerPublishOptions {
  /** The user it is from; absent: the server's own. */
  readonly from?: string;
  /** Makes it safe to repeat (P-31), in a scope of the server's own. */
  readonly key?: string;
  /** The id of a connection that gets `skip` in its place. */
  readonly except?: string;
}

/** A room as the app sees it. The app is trusted: schemas are checked, rights and handlers are for clients. */
export class RoomHandle<C extends Contract, N extends string> {
  readonly name: N;
  readonly #context: HandleContext;

  constructor(context: HandleContext, name: N) {
    this.name = name;
    this.#context = context;
  }

  /**
   * Resolves when the message is kept. Rejects with `Refused` (`unknown_room`, `unknown_event`, `invalid_data`,
   * `conflict`) or `BackendUnavailable`.
   */
  async publish<E extends EventNameOf<EventsOf<SpecOf<C, N>>>>(
    event: E,
    data: InputOf<EventsOf<SpecOf<C, N>>, E>,
    { from, key, except }: ServerPublishOptions = {},
  ): Promise<Published> {
    const kind = this.#kind();
    const { publisher, counts, tracing } = this.#context;
    const submit = (): Promise<Submitted> =>
      publisher.submit({
        room: this.name,
        kind,
        event,
        data,
        from,
        except,
        key: key === undefined ? undefined : { scope: "server", key },
        handle: undefined,
      });
    const submitted = tracedPublish(tracing, messageFacts("server", this.name, event), submit);
    return (await counts.published(submitted)).outcome;
  }

  /** Passes a signal to everyone in the room but `except`. Rejects as `publish` does. */
  async signal<E extends EventNameOf<SignalsOf<SpecOf<C, N>>>>(
    event: E,
    data: InputOf<SignalsOf<SpecOf<C, N>>, E>,
    { from, except }: Omit<ServerPublishOptions, "key"> = {},
  ): Promise<void> {
    await this.#context.publisher.signal({ room: this.name, kind: this.#kind(), event, data, from, except });
  }

  /** How many members the room has, on all nodes; those whose connection vanished count until their grace ends. */
  size(): Promise<number> {
    return this.#context.operations.size(this.name);
  }

  /** Who they are, on all nodes. Rejects with `BackendUnavailable` where the other nodes cannot be asked. */
  async members(): Promise<Member[]> {
    return (await this.#context.operations.members(this.name, Number.MAX_SAFE_INTEGER)).users;
  }

  /** The ids of the connections in the room, on all nodes. */
  connections(): Promise<string[]> {
    return this.#context.operations.connectionsIn(this.name);
  }

  /** What of the room is on this node alone: how many members, and the ids of the connections. */
  get here(): { readonly size: number; readonly connections: string[] } {
    const size = this.#context.rooms.get(this.name)?.presence.here ?? 0;
    return { size, connections: this.#context.operations.connectionsInHere(this.name) };
  }

  /** Up to 100 messages before an offset (absent: the newest), oldest first. A room without a log has none. */
  async history({ before, limit = maxHistoryPage }: { before?: number; limit?: number } = {}): Promise<KeptMessage[]> {
    const kind = this.#kind();
    if (kind.keep === false) return [];
    const ref = refOf(this.name, kind);
    const entries = await this.#context.backend.readBack(ref, before, Math.min(limit, maxHistoryPage));
    return entries.map((entry) => decodeJson(encodeKept(entry)) as unknown as KeptMessage);
  }

  /**
   * Sends a socket of an endpoint what happens in the room, in the app's own format and in order with what else it is sent,
   * until it ends or `stop` is called. It only listens: it is no member and has no presence; whether it may is the app's to
   * say. Following again begins anew. Resolves when it has begun; on a socket that is gone, to no effect. Rejects with
   * `Refused` (`unknown_room`) or `BackendUnavailable`, and with a RangeError beyond the limit `rooms`.
   */
  async follow(
    socket: EndpointSocket,
    options: FollowOptions<FollowedMessage<C, N>, FollowedSignal<C, N>>,
  ): Promise<Following> {
    // The contract gives the messages that the app's functions are typed by.
    return follow(this.#context, this.name, this.#kind(), socket, options as unknown as FollowOptions);
  }

  /**
   * Takes a user out on all nodes (P-26): each of the user's connections in the room gets `left` with the reason
   * `removed`. Resolves when every node that answers within 2 s has done it.
   */
  remove(user: string): Promise<void> {
    return this.#context.operations.remove(this.name, user);
  }

  #kind(): RoomKind {
    if (!isRoomName(this.name))
      throw new TypeError("a room's name is 1 to 255 bytes of NFC without control characters");
    const found = this.#context.catalog.find(this.name);
    if (found === undefined) throw new Refused("unknown_room", "the contract has no such room");
    return found.kind;
  }
}

/** A user on all devices. */
export class UserHandle<C extends Contract> {
  readonly name: string;
  readonly #context: HandleContext;
  readonly #room: string;

  constructor(context: HandleContext, name: string, room: string) {
    this.name = name;
    this.#context = context;
    this.#room = room;
  }

  /** Publishes into the user's personal room: kept, and there for devices that come later. */
  publish<E extends EventNameOf<EventsOf<PersonalSpecOf<C>>>>(
    event: E,
    data: InputOf<EventsOf<PersonalSpecOf<C>>, E>,
    options?: ServerPublishOptions,
  ): Promise<Published> {
    const room = new RoomHandle<Contract, string>(this.#context, this.#room);
    return room.publish(event, data, options);
  }

  /** The ids of the user's connections, on all nodes. */
  connections(): Promise<string[]> {
    return this.#context.operations.connectionsOf(this.name);
  }

  /** The ids of those on this node. */
  get here(): { readonly connections: string[] } {
    return { connections: this.#context.operations.connectionsOfHere(this.name) };
  }

  /**
   * Closes all of the user's connections with 4003, on all nodes. With `revoke`, tokens and unspent tickets issued before
   * now are refused from here on. Resolves when every node that answers within 2 s has done it. Rejects with
   * `BackendUnavailable` where the revocation cannot be kept, or the other nodes cannot be told.
   */
  disconnect({ revoke = false }: { revoke?: boolean } = {}): Promise<void> {
    return this.#context.operations.disconnect(this.name, revoke);
  }

  /**
   * Takes a revocation back. For identities without `issuedAt` (an app's own `auth` that gives none, tokens without
   * `iat`), which a revocation keeps out for as long as it is remembered: 400 days.
   */
  unrevoke(): Promise<void> {
    return this.#context.operations.unrevoke(this.name);
  }
}

/** One connection as the app sees it. */
export class ConnectionHandle {
  readonly #connection: Connected;
  readonly #clock: Clock;

  constructor(connection: Connected, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  get id(): string {
    return this.#connection.id;
  }

  get user(): string {
    return this.#connection.user;
  }

  /** The rooms that it is in. */
  rooms(): string[] {
    return [...this.#connection.joined.keys()];
  }

  /** A signal to this connection alone (P-34); not kept. */
  signal(event: string, data: unknown): void {
    const at = this.#clock.now();
    this.#connection.send(encodeSignal({ room: undefined, event, dataJson: encodeJson(data), from: undefined, at }));
  }

  /** Closes it with 4003; its client stops. */
  disconnect(): void {
    this.#connection.close(closeCodes.disconnected, "disconnected");
  }
}
