import type { Right } from "../../protocol/frames.ts";

/** A right in a room: to be in it, or one of those that `joined` lists. */
export type RoomRight = Right | "join";

/**
 * Rights by room pattern: a list of patterns gives all rights in what they match; an object gives those listed. In a
 * pattern `*` stands for one segment between `/` (or a part of one), `**` for any number of them.
 */
export type RoomRights = readonly string[] | { readonly [pattern: string]: readonly RoomRight[] };

/** Who a connection is. */
export interface Identity {
  /** A name by P-13. */
  readonly user: string;
  /** Absent: every room that the hub's contract and handlers allow. The personal room is always the user's own. */
  readonly rooms?: RoomRights;
  /** When the credentials end, milliseconds since 1970; absent: never. */
  readonly expiresAt?: number;
  /** When they were made, milliseconds since 1970; a revocation refuses those made before it. */
  readonly issuedAt?: number;
}

/** Where credentials were found (P-11), or `first` for `auth` before `welcome` (P-14), `renewal` after it (P-17). */
export type CredentialKind = "ticket" | "bearer" | "subprotocol" | "query" | "cookie" | "first" | "renewal";

/** What somebody brought to show who they are. */
export interface Credentials {
  readonly kind: CredentialKind;
  readonly token: string;
}

/**
 * The request that opened the connection, as far as an app's own check may want it. With a `renewal` there is none, and
 * all but `address` is empty.
 */
export interface RequestFacts {
  readonly path: string;
  readonly query: URLSearchParams;
  /** The room in the path (P-10), percent-decoded; undefined: none. */
  readonly room?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly address: string;
}

/**
 * Tells who the credentials belong to. `undefined`: nobody (`unauthorized`, close 4001). A throw or rejection: cannot be
 * told now (`unavailable`, close 1013).
 */
export type Authenticate = (
  credentials: Credentials,
  request: RequestFacts,
) => Identity | undefined | Promise<Identity | undefined>;
