import type { Backend } from "../backends/backend.ts";
import type { AppHandlers } from "./app-handlers.ts";
import type { Identity } from "./auth/identity.ts";
import type { Catalog } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import type { Counts } from "./metrics/counts.ts";
import type { Limits } from "./options.ts";
import type { Peer } from "./peer.ts";
import type { Publisher } from "./publisher.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { Room } from "./room.ts";
import type { Rooms } from "./rooms.ts";
import { nameFact } from "./traced.ts";
import type { SpanFacts, Tracing } from "./tracing.ts";

/** What requests work on. */
export interface RequestContext {
  readonly catalog: Catalog;
  readonly rooms: Rooms;
  readonly publisher: Publisher;
  readonly backend: Backend;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly counts: Counts;
  readonly rates: RateLimits;
  readonly app: AppHandlers;
  readonly tracing: Tracing | undefined;
}

/** The connection that asks. */
export interface Requester extends Peer {
  readonly identity: Identity;
  readonly closed: boolean;
  /** The rooms that it is in. */
  readonly joined: Map<string, Room>;
  /** Joins under way, for the limit of rooms. */
  joining: number;
}

export function who(peer: Requester): { identity: Identity; connection: string } {
  return { identity: peer.identity, connection: peer.id };
}

/** What a span tells of a request; asked only where there is tracing. */
export function factsOf(peer: Requester, frame: { room: string; event?: string }): () => SpanFacts {
  const { room, event } = frame;
  return () => ({
    "fanfare.connection": peer.id,
    "fanfare.room": nameFact(room),
    ...(event !== undefined && { "fanfare.event": nameFact(event) }),
  });
}
