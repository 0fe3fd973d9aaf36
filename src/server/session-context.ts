import type { Identity } from "./auth/identity.ts";
import type { Logger } from "./options.ts";
import type { RequestContext, Requester } from "./requester.ts";
import type { Requests } from "./requests.ts";

/** What all sessions of a hub share. */
export interface SessionContext extends RequestContext {
  readonly requests: Requests;
  readonly logger: Logger;
  /** Who the token of an `auth` after `welcome` belongs to (P-17). */
  readonly renew: (token: string, peer: SessionPeer) => Promise<Identity | undefined>;
}

/** The connection that a session speaks for. */
export interface SessionPeer extends Requester {
  readonly address: string;
  /** Whether the socket takes what is sent; a peer that has said goodbye does not. */
  readonly isOpen: boolean;
  /** Takes over the renewed credentials and their expiry. */
  renewed(identity: Identity): void;
}
