import { isLater } from "../later.ts";
import type { Counts } from "../metrics/counts.ts";
import { checkIdentity } from "./check-identity.ts";
import type { Authenticate, Credentials, Identity, RequestFacts } from "./identity.ts";
import type { Revocations } from "./revocations.ts";
import type { Tickets } from "./tickets.ts";

/** The identity, at once or later, or undefined for bad credentials. Throws or rejects where it cannot be told now. */
export type Identify = (
  credentials: Credentials,
  request: RequestFacts,
) => Identity | undefined | Promise<Identity | undefined>;

export interface IdentifyContext {
  /** The app's own way, for all but tickets; absent: all of these are bad. */
  readonly auth: Authenticate | undefined;
  readonly tickets: Tickets;
  readonly revocations: Revocations;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly counts: Pick<Counts, "authenticated">;
}

/** Makes what tells whose credentials are, by `auth`, tickets, and what was revoked; counts each outcome. */
export function makeIdentify(context: IdentifyContext): Identify {
  const { counts } = context;
  const failed = (error: unknown): never => {
    counts.authenticated("failed");
    throw error;
  };
  const settled = (identity: Identity | undefined): Identity | undefined => {
    counts.authenticated(identity === undefined ? "refused" : "accepted");
    return identity;
  };
  return (credentials, request) => {
    let found: ReturnType<Identify>;
    try {
      found = identify(context, credentials, request);
    } catch (error) {
      return failed(error);
    }
    return isLater(found) ? found.then(settled, failed) : settled(found);
  };
}

function identify(
  { auth, tickets, revocations, now }: IdentifyContext,
  credentials: Credentials,
  request: RequestFacts,
): ReturnType<Identify> {
  const isTicket = credentials.kind === "ticket";
  const found = isTicket ? tickets.redeem(credentials.token) : auth?.(credentials, request);
  const check = (answer: Identity | null | undefined): ReturnType<Identify> => {
    const identity = checkIdentity(answer, { nowMs: now(), mayBeAnonymous: isTicket });
    return identity === undefined ? undefined : revocations.unlessRevoked(identity);
  };
  return isLater(found) ? Promise.resolve(found).then(check) : check(found);
}
