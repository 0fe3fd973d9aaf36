import type {
  Contract,
  EventNameOf,
  EventsOf,
  OutputOf,
  ParamsOf,
  PatternOf,
  PresenceOf,
  Schemas,
} from "../protocol/contract.ts";
import type { Right } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import type { Identity } from "./auth/identity.ts";

/** Who asks for what, as every handler gets it. */
export interface RequestContext<Params> {
  readonly room: string;
  readonly params: Params;
  readonly user: string;
  readonly identity: Identity;
  /** The connection's id; undefined where it was asked over HTTP (P-80). */
  readonly connection: string | undefined;
  /** Aborted where the handler has not ended within `limits.handlerMs`: its request has failed by then. */
  readonly signal: AbortSignal;
}

/** Who wants to enter, and with what presence data. */
export interface JoinContext<Params, Presence> extends RequestContext<Params> {
  /** The member's presence data; undefined where none was given. */
  readonly data: Presence | undefined;
}

/** A member's message before it is kept. */
export interface MessageContext<Params, Event extends string, Data> extends RequestContext<Params> {
  readonly event: Event;
  readonly data: Data;
  /** The publisher's key, where there is one (P-31). */
  readonly key: string | undefined;
}

/** What a message handler may answer: data to keep in place of the sender's, and a result for the sender's `ack`. */
export interface Handled {
  readonly data?: unknown;
  readonly result?: Json;
}

type MaybePromise<T> = T | Promise<T>;

/** Runs before a message is kept. Throwing `Refused` refuses it; any other error is `internal` for this request only. */
export type MessageHandler<Params, Event extends string, Data> = (
  context: MessageContext<Params, Event, Data>,
) => MaybePromise<Handled | void>;

type EventHandlers<Params, E extends Schemas> = string extends keyof E
  ? { readonly [event: string]: MessageHandler<Params, string, Json> }
  : { readonly [N in EventNameOf<E>]?: MessageHandler<Params, N, OutputOf<E, N>> };

/** An app's say in the rooms of one pattern. Each runs for one request and holds nothing between requests. */
export interface RoomHandlers<
  Params = Readonly<Record<string, string>>,
  E extends Schemas = Schemas,
  Presence = unknown,
> {
  /** What the user may do here: true or a list (being in the room and the rights given), false (`forbidden`). */
  readonly authorize?: (context: RequestContext<Params>) => MaybePromise<boolean | readonly Right[]>;
  /** Before a connection enters; throws `Refused` to keep it out. */
  readonly join?: (context: JoinContext<Params, Presence>) => MaybePromise<void>;
  /** After a connection has gone. */
  readonly leave?: (context: RequestContext<Params>) => MaybePromise<void>;
  /** By event, before a member's message is kept. What the server itself publishes does not come by here. */
  readonly publish?: EventHandlers<Params, E>;
}

/** The handlers of one pattern, typed by what the contract says of it. */
export type HandlersFor<C extends Contract, P extends PatternOf<C>> = RoomHandlers<
  ParamsOf<P>,
  EventsOf<C[P]>,
  PresenceOf<C[P]>
>;
