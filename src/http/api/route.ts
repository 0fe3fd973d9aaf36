import type { Caller, Hub } from "../../server/index.ts";
import type { Answer } from "../answer.ts";
import type { HttpError } from "../errors.ts";
import type { HttpRequest } from "../request.ts";
import type { Fields, Values } from "./fields.ts";
import type { Schema } from "./schema.ts";

/** What the calls need of a hub. */
export type ApiHub = Pick<Hub, "start" | "ready" | "authenticate" | "addressOf" | "rooms" | "limits"> & {
  readonly calls: Pick<Hub["calls"], "allow" | "publish" | "signal" | "history" | "members" | "remove" | "disconnect">;
  readonly tickets: Pick<Hub["tickets"], "create">;
};

/** Who may call (P-80): a user or an API key, each by its rights; API keys alone; users alone. */
export type Audience = "caller" | "key" | "user";

/** One call of P-80: what it takes, what it does, and what the document tells of it. */
export interface RouteSpec<Path extends Fields, Query extends Fields, Body extends Fields> {
  readonly method: "GET" | "POST" | "DELETE";
  /** Each `{name}` is one percent-encoded segment. */
  readonly path: string;
  /** The call's name in the document. */
  readonly operation: string;
  readonly summary: string;
  readonly audience: Audience;
  readonly pathFields: Path;
  readonly query: Query;
  /** undefined: none is read. */
  readonly body: { readonly fields: Body; readonly maxBytes: (limits: Hub["limits"]) => number } | undefined;
  /** Whether `Idempotency-Key` counts. */
  readonly keyed: boolean;
  /** What it counts for where requests have a rate (P-63). */
  readonly cost: number;
  readonly success: { readonly status: number; readonly tells: string; readonly schema: Schema | undefined };
  run(call: Call<Path, Query, Body>): Answer | Promise<Answer>;
}

export type Route = RouteSpec<Fields, Fields, Fields>;

/** A call whose caller may make it and whose fields were checked. */
export interface Call<Path extends Fields, Query extends Fields, Body extends Fields> {
  readonly hub: ApiHub;
  readonly caller: Caller;
  readonly path: Values<Path>;
  readonly query: Values<Query>;
  readonly body: Values<Body>;
  /** The `Idempotency-Key`. */
  readonly key: string | undefined;
  readonly request: HttpRequest;
  /** A failure that costs a part of the call only: logged as any, and given back to be told. */
  fault(error: unknown): HttpError;
}

/** Keeps the types of the fields while it is written, and forgets them for the table. */
export function route<Path extends Fields, Query extends Fields, Body extends Fields>(
  spec: Pick<
    RouteSpec<Path, Query, Body>,
    "method" | "path" | "operation" | "summary" | "audience" | "success" | "run"
  > &
    Partial<Pick<RouteSpec<Path, Query, Body>, "pathFields" | "query" | "body" | "keyed" | "cost">>,
): Route {
  const none: Fields = {};
  return { pathFields: none, query: none, body: undefined, keyed: false, cost: 1, ...spec };
}
