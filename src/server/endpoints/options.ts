import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Issue } from "../../protocol/frames.ts";
import type { Identity, RequestFacts } from "../auth/identity.ts";
import type { PathParams } from "./path.ts";
import type { Refusal } from "./refuse.ts";
import type { EndpointSocket } from "./socket.ts";

/** What the app's loop gets: see `EndpointOptions.receive`. */
export type Receive = "any" | "text" | "binary" | "json" | StandardSchemaV1;

/** A message as the loop gets it, by `receive`. */
export type MessageOf<R extends Receive> = R extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<R>
  : R extends "text"
    ? string
    : R extends "binary"
      ? Buffer
      : R extends "json"
        ? unknown
        : string | Buffer;

/** See `EndpointOptions.params` and `query`. */
export type MaybeSchema = StandardSchemaV1 | undefined;

/** What a schema gives out; without one, what there is anyway. */
export type OutputOr<S extends MaybeSchema, Otherwise> = S extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<S>
  : Otherwise;

/** Who is let in: see `EndpointOptions.authenticate`. */
export type Who = true | "optional" | "first" | false;

/** The name of the user, where `authenticate` lets nobody in without one. */
export type UserOf<W extends Who> = W extends true ? string : string | undefined;

/** A message that is not what the endpoint takes. */
export interface Invalid {
  /** `kind`: text where binary is taken, or the other way; `json`: not JSON, or nested too deep; `schema`: does not fit. */
  readonly fault: "kind" | "json" | "schema";
  /** What the schema said; else empty. */
  readonly issues: readonly Issue[];
}

/** A connection that asks to be let in. */
export interface Asking<
  Path extends string,
  W extends Who,
  Params extends MaybeSchema = undefined,
  Query extends MaybeSchema = undefined,
> {
  readonly params: OutputOr<Params, PathParams<Path>>;
  readonly query: OutputOr<Query, URLSearchParams>;
  readonly user: UserOf<W>;
  readonly identity: Identity | undefined;
  readonly headers: RequestFacts["headers"];
  readonly address: string;
}

/** What the handler works with. */
export interface EndpointContext<
  Path extends string,
  R extends Receive,
  W extends Who,
  Params extends MaybeSchema = undefined,
  Query extends MaybeSchema = undefined,
> extends Asking<Path, W, Params, Query> {
  readonly socket: EndpointSocket<MessageOf<R>>;
  /**
   * For `authenticate: "first"`: checks a token that came in a message of the app's own, by the hub's ways. Resolves to who
   * it is, or to undefined where the token is bad, or the connection is closed meanwhile; what a bad one gets is the
   * app's choice. Rejects where the endpoint's option is another, or where the connection is signed in.
   */
  readonly signIn: (token: string) => Promise<Identity | undefined>;
}

/**
 * Runs from the connection's opening to its end. When it returns, the socket is closed with 1000; when it throws, with
 * 1011, and the error goes to the logger.
 */
export type EndpointHandler<
  Path extends string,
  R extends Receive,
  W extends Who,
  Params extends MaybeSchema = undefined,
  Query extends MaybeSchema = undefined,
> = (context: EndpointContext<Path, R, W, Params, Query>) => void | Promise<void>;

/** Who is let in at an endpoint, and what its loop gets. */
export interface EndpointOptions<
  Path extends string = string,
  R extends Receive = Receive,
  W extends Who = Who,
  Params extends MaybeSchema = undefined,
  Query extends MaybeSchema = undefined,
> {
  /**
   * Who is let in. `true`: users by the hub's own ways (P-11: ticket, header, subprotocol, query, cookie; or anonymous
   * where the hub allows it). `optional`: they, and whoever brings no credentials. `first`: everyone, who must then
   * `signIn` within `authWithinMs` or is closed with 1008. `false`, the default: everyone, unasked.
   */
  readonly authenticate?: W;
  /** What bad credentials get: 4001 after the upgrade, which a browser sees (the default), or HTTP 401 before it. */
  readonly unauthorized?: 4001 | 401;
  /**
   * A Standard Schema for the path's parameters, as an object of strings. `accept` and the handler get its output. What does
   * not fit is HTTP 400 before the upgrade, once the credentials are known to be good. A throw is HTTP 500, and is logged.
   */
  readonly params?: Params;
  /**
   * The same for the query, as an object without a prototype: a string for a name that is there once, else its values in an
   * array. Where `authenticate` is `true` or `optional`, the hub's own `ticket`, `token` and `anonymous` are not in it.
   */
  readonly query?: Query;
  /** Lets in by returning nothing, or refuses by returning `refuse(…)`. A throw is HTTP 500, and is logged. */
  readonly accept?: (asking: Asking<Path, W, Params, Query>) => Refusal | void | Promise<Refusal | void>;
  /**
   * What the loop gets. `any`, the default: texts as strings, binary messages as Buffers. `text` or `binary`: only these.
   * `json`: the value of a JSON text. A Standard Schema: its output, for the value of a JSON text.
   */
  readonly receive?: R;
  /**
   * What a message gets that is not so. The loop goes on with the next one when what this returns has resolved; where it
   * throws or rejects, the loop does. Absent: close 1003, 1007 or 1008.
   */
  readonly invalid?: (invalid: Invalid, socket: EndpointSocket<MessageOf<R>>) => unknown;
  /** Subprotocols that the endpoint speaks; the first that the peer offers is selected. Absent: none. */
  readonly protocols?: readonly string[];
  /** The largest message. Absent: the hub's limit. */
  readonly messageBytes?: number;
  /**
   * Messages of one connection, with a burst of two seconds' worth. Beyond it the socket is read more slowly, so nothing is
   * lost; who is ahead by ten seconds' worth is closed with 4301. Absent: the hub's `requestsPerS`.
   */
  readonly messagesPerS?: number;
  /** Origins let in, as the hub's `origins`, and which cookies count by (P-11, P-15). Absent: the hub's. */
  readonly origins?: readonly string[];
  /** For `authenticate: "first"`, and for the schemas and `accept` to answer. Absent: the hub's limit. */
  readonly authWithinMs?: number;
}
