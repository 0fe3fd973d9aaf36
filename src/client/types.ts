import type {
  Contract,
  EventNameOf,
  EventsOf,
  InputOf,
  openContract,
  OutputOf,
  PresenceOf,
  RoomNameOf,
  Schemas,
  SignalsOf,
  SpecOf,
} from "../protocol/contract.ts";
import type { Right } from "../protocol/frames.ts";
import type { FanfareError } from "./errors.ts";
import type { ClientLimits, ClientTiming, Platform, WebSocketClass } from "./platform.ts";

/** Undoes a subscription. Safe to call again. */
export type Off = () => void;

/** Every room and event, unchecked: what a client without a contract has. */
export type OpenContract = typeof openContract;

/** A token, or how to get one: asked again for each attempt to connect and for each renewal. */
export type TokenSource = string | (() => string | Promise<string>);

/** What `createClient` takes. Only `url` is needed. */
export interface ClientOptions<C extends Contract = OpenContract> {
  /** The server's socket: `wss://example.com/ws`. `http(s):` becomes `ws(s):`. In a browser, a path is enough. */
  readonly url: string;
  /** Absent: the cookie that the browser sends, or an anonymous user. */
  readonly token?: TokenSource;
  /**
   * How the token is sent (P-11). `subprotocol` is the default, and gives way to `first` for a token with characters that
   * a subprotocol cannot hold. `first`: as the first frame. `ticket`: what `token` gives is a one-use ticket (P-16), which
   * cannot be renewed in place: at its expiry the client reconnects with a new one.
   */
  readonly tokenAs?: "subprotocol" | "first" | "ticket";
  /**
   * 22 to 64 characters that make an anonymous client come back as the same user (P-18), for example kept in
   * `localStorage`. Absent: random, the same for the life of this client.
   */
  readonly anonymous?: string;
  /**
   * The contract, for checks at run time: what is sent is checked before it is sent, messages and signals that arrive
   * before the app sees them; one that does not fit is told by the room's `error` event instead. The server has already
   * run the schemas' transforms, so data is handed on as it came; a schema must accept its own output. Schemas that
   * answer with a promise are left to the server.
   */
  readonly rooms?: C;
  /** Absent: the global one. In Node 20: that of the package `ws`. */
  readonly WebSocket?: WebSocketClass;
  readonly timing?: Partial<ClientTiming>;
  readonly limits?: Partial<ClientLimits>;
  /** Clock, randomness, timers and the browser's events, for tests and unusual hosts. */
  readonly platform?: Partial<Platform>;
}

/** Why a client stopped or waits. */
export interface Cause {
  /** The WebSocket close code; 1006 where the connection was lost, timed out, or could not be made. */
  readonly closeCode?: number;
  /** What the server said before it closed, or why no token could be had. */
  readonly error?: FanfareError;
}

/**
 * - `idle`: not asked to connect, or closed by the app
 * - `connecting`: getting a token, opening a socket, or authenticating
 * - `online`
 * - `waiting`: lost; the next attempt is `retryInMs` after this status began
 * - `offline`: lost, and the platform says that there is no network: tries at once when there is, and seldom until then
 * - `stopped`: would fail again (P-61). `connect()` tries again; after `unauthorized` a `setToken` does so too
 */
export type ClientStatus =
  | { readonly state: "idle" }
  | { readonly state: "connecting" }
  | { readonly state: "online"; readonly user: string; readonly connection: string }
  | { readonly state: "waiting"; readonly retryInMs: number; readonly cause: Cause }
  | { readonly state: "offline"; readonly cause: Cause }
  | { readonly state: "stopped"; readonly cause: Cause };

/** What a client tells, by event. */
export interface ClientEvents {
  status: ClientStatus;
  /** What has no other place to be told: an app's listener that threw, an error frame of no room, a token that failed. */
  error: FanfareError;
  /** A signal from the server to this connection alone (P-34). */
  signal: AnySignal;
}

/** A signal, whatever its data. */
export interface AnySignal {
  readonly event: string;
  readonly data: unknown;
  readonly from?: string;
  /** Milliseconds since 1970 by the server's clock. */
  readonly at: number;
}

/** A client: one connection at a time, and the rooms that outlive it. */
export interface Client<C extends Contract = OpenContract> {
  /** A new object whenever it changes, and only then. */
  readonly status: ClientStatus;
  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): Off;
  /** Starts, or starts again. Nothing where it is under way; where it waits, the wait is cut short. */
  connect(): void;
  /**
   * Leaves at once: others see this user go. Publishes that wait reject: `stopped` where they were never sent,
   * `outcome_unknown` where they were. Rooms stay asked for, and are joined again by `connect()`.
   */
  close(): void;
  /** Replaces the token. Online, the new one renews the connection in place; it must be the same user's (P-17). */
  setToken(token: TokenSource | undefined): void;
  /**
   * Asks for a room, online or not. Handles of one room share one membership, which ends when the last handle is left.
   * `history`, `since` and `data` count for the handle that begins the membership; presence is had once any handle asks.
   * After a `left` with a reason, a new `join` begins anew.
   */
  join<N extends RoomNameOf<C>>(name: N, options?: JoinOptions<SpecOf<C, N>>): Room<SpecOf<C, N>>;
}

/** What is asked for in a room. */
export interface JoinOptions<S = unknown> {
  /** Be told who is in the room: `room.presence` and the `presence` event. */
  readonly presence?: boolean;
  /** Replay the last so many messages at the first join, and after every `reset`. Needs the right `history`. */
  readonly history?: number;
  /** A cursor from an earlier life of the app: everything after it follows, or `reset` tells that it cannot. */
  readonly since?: string;
  /** This user's presence data. */
  readonly data?: PresenceOf<S>;
}

/**
 * - `joining`: asked for; also while the client is not connected
 * - `joined`
 * - `left`: by `leave()`, or refused or removed (`left` event); this handle is done
 */
export type RoomState = "joining" | "joined" | "left";

/** What a handle can send: nothing where the contract says that only the server publishes. */
export type PublishNameOf<S> = S extends { readonly publish: "server" } ? never : EventNameOf<EventsOf<S>>;

/** Without a log there are no offsets. */
type OffsetOf<S> = S extends { readonly keep: false } ? undefined : number;
type CursorOf<S> = S extends { readonly keep: false } ? undefined : string;

/** One handle on a room. Listeners of it end with `leave()`. */
export interface Room<S = unknown> {
  readonly name: string;
  readonly state: RoomState;
  /** User to presence data; empty without `presence: true` and in rooms too large for lists (P-43). New when changed. */
  readonly presence: ReadonlyMap<string, PresenceOf<S>>;
  /** The number of members as last told. */
  readonly members: number;
  readonly rights: readonly Right[];
  /** The position in the log (P-37), for `since` in a later life of the app. Until it is joined: the `since` that was given. */
  readonly cursor: string | undefined;
  on<E extends keyof RoomEvents<S>>(event: E, listener: (value: RoomEvents<S>[E]) => void): Off;
  /**
   * Resolves when the message is in the log, whatever disconnects come in between; publishes of a room keep their order.
   * Otherwise rejects with a `FanfareError`: after `outcome_unknown` the message may be in the log (look for its key);
   * after any other code it is not, and never will be. The key is random where none is given.
   */
  publish<E extends PublishNameOf<S>>(
    event: E,
    data: InputOf<EventsOf<S>, E>,
    options?: PublishOptions,
  ): Publishing<Kept<S>>;
  /** Sends and forgets. False where it was dropped: not joined, or more than the limits let through. */
  signal<E extends EventNameOf<SignalsOf<S>>>(event: E, data: InputOf<SignalsOf<S>, E>): boolean;
  /**
   * The newest `limit` messages (100 at most) before the offset `before`, oldest first. Rejects with `timeout` where no
   * answer came in time, connected or not.
   */
  history(page?: { readonly before?: number; readonly limit?: number }): Promise<HistoryPage<S>>;
  /** This user's data, now and at every later join. A refusal is told by the `error` event. */
  setPresence(data: PresenceOf<S>): void;
  /** Gives this handle up. With the last one the room is left, after a moment in which another may take over. */
  leave(): void;
}

/** How a message is published. */
export interface PublishOptions {
  /** false: this connection is not sent the message back. */
  readonly echo?: boolean;
  /** 1 to 64 characters that name this message: the same key again, within minutes, publishes nothing (P-31). */
  readonly key?: string;
}

/** The outcome, and the key that the message will carry, so that an app can show it before it is kept. */
export type Publishing<T> = Promise<T> & { readonly key: string };

/** Where a message stands in the log, and what its handler answered. */
export interface Kept<S = unknown> {
  readonly offset: OffsetOf<S>;
  readonly cursor: CursorOf<S>;
  /** An earlier try had got through. */
  readonly duplicate?: true;
  /** What the server's handler answered. */
  readonly result?: unknown;
}

/** A message with its data typed by its event. */
export type MessageOf<S = unknown> = OneOf<EventsOf<S>, MessageFacts<S>>;
/** A message as a page of history has it. */
export type PastMessageOf<S = unknown> = OneOf<EventsOf<S>, Omit<MessageFacts<S>, "replay">>;
/** A signal with its data typed by its event. */
export type SignalOf<S = unknown> = OneOf<SignalsOf<S>, Omit<AnySignal, "event" | "data">>;

type OneOf<T extends Schemas, Facts> = {
  [E in EventNameOf<T>]: { readonly event: E; readonly data: OutputOf<T, E> } & Facts;
}[EventNameOf<T>];

/** What a message tells beside its event and data. */
export interface MessageFacts<S = unknown> {
  readonly offset: OffsetOf<S>;
  /** The publisher; absent on the server's own. */
  readonly from?: string;
  /** Milliseconds since 1970 by the server's clock. Order is by offset, never by time. */
  readonly at: number;
  /** The publisher's key: an app knows its own messages by it. */
  readonly key?: string;
  /** From the past: sent before this connection joined. */
  readonly replay: boolean;
}

/** A piece of a room's past. */
export interface HistoryPage<S = unknown> {
  readonly messages: readonly PastMessageOf<S>[];
  /** The head of the log when the page was read. */
  readonly cursor: string;
  /** Whether older messages are kept. */
  readonly more: boolean;
}

/** A member as others see it. */
export interface MemberOf<S = unknown> {
  readonly user: string;
  readonly data: PresenceOf<S>;
}

/** What a room tells, by event. */
export interface RoomEvents<S = unknown> {
  message: MessageOf<S>;
  signal: SignalOf<S>;
  presence: PresenceChange<S>;
  /** `room.state` changed. */
  state: RoomState;
  joined: Joined;
  gap: Gap;
  reset: Reset;
  /** Refused or removed; not after `leave()`. The client does not join again by itself. */
  left: Left;
  /** A refusal that no promise tells; data that broke the contract and was not handed on. */
  error: FanfareError;
}

/** Who came, went and changed; `room.presence` has it already. */
export interface PresenceChange<S = unknown> {
  readonly joined: readonly MemberOf<S>[];
  /** Users. */
  readonly left: readonly string[];
  readonly updated: readonly MemberOf<S>[];
  /**
   * The whole list was replaced, or dropped in a room too large for lists (P-43), where only `members` may be news: read
   * `room.presence`.
   */
  readonly replaced: boolean;
  readonly members: number;
}

/** The room is joined, for the first time or again. */
export interface Joined {
  /** Absent in a room without a log. */
  readonly cursor?: string;
  /** So many messages of the past follow. */
  readonly replay: number;
  /** Absent where there was nothing to resume. */
  readonly recovered?: boolean;
  readonly members: number;
  readonly rights: readonly Right[];
}

/** Messages before `cursor` will not come. */
export interface Gap {
  /** The position before the gap. */
  readonly after: string | undefined;
  /** Absent where the room keeps no log: then it is not known how many were left out. */
  readonly cursor: string | undefined;
  /** `slow`: `history` has them. `trimmed`: lost. `unknown`: the server skipped offsets without telling. */
  readonly reason: "slow" | "trimmed" | "unknown";
}

/**
 * What the app has of this room no longer joins up with what follows: it loads its state anew. Comes after `joined`, and
 * before the messages that `history` asked for.
 */
export interface Reset {
  readonly cursor: string | undefined;
  /** `epoch`: the log began anew. `trimmed`: too long away. `unkept`: the room has no log to resume from. */
  readonly reason: "epoch" | "trimmed" | "unkept";
}

/** Why a room was left that this app did not leave. */
export interface Left {
  /** `removed`: by an operator. An error's code: the join, or the right to stay, was refused. */
  readonly reason: "removed" | FanfareError["code"];
  readonly error: FanfareError;
}
