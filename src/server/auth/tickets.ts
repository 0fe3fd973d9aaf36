import { createHash } from "node:crypto";
import type { Backend } from "../../backends/backend.ts";
import { isObject, type JsonObject } from "../../protocol/json.ts";
import type { Identity, RoomRights } from "./identity.ts";

/** P-16: the longest life of a ticket. */
const ticketMs = 30_000;
const ticketBytes = 32;
const ticketShape = /^[A-Za-z0-9_-]{43}$/;

/** As `POST /v1/tickets` answers (P-16). */
export interface Ticket {
  readonly ticket: string;
  /** When the ticket itself ends, milliseconds since 1970. */
  readonly expires_at: number;
}

/** One-use tickets (P-16). Both calls reject with `BackendUnavailable` where the backend cannot be reached. */
export interface Tickets {
  /** A ticket for who the identity is, good for 30 s or until the identity ends. */
  create(identity: Identity): Promise<Ticket>;
  /** Spends a ticket, on whatever node; `undefined` where it is unknown, spent or too old. */
  redeem(ticket: string): Promise<Identity | undefined>;
}

/** `now` gives milliseconds since 1970. */
export function createTickets(
  backend: Pick<Backend, "set" | "take">,
  now: () => number,
  randomBytes: (count: number) => Uint8Array,
): Tickets {
  return {
    async create(identity) {
      const ticket = Buffer.from(randomBytes(ticketBytes)).toString("base64url");
      const until = Math.min(now() + ticketMs, identity.expiresAt ?? Infinity);
      // At least 1 ms, for backends that take 0 as "for ever"; `redeem` looks at the time again.
      await backend.set(keyOf(ticket), JSON.stringify({ until, identity }), Math.max(1, until - now()));
      return { ticket, expires_at: until };
    },
    async redeem(ticket) {
      if (!ticketShape.test(ticket)) return undefined;
      const kept = await backend.take(keyOf(ticket));
      return kept === undefined ? undefined : readKept(kept, now());
    },
  };
}

/** Kept by its hash: who can read the backend's files cannot spend what is in them. */
function keyOf(ticket: string): string {
  return `ticket:${createHash("sha256").update(ticket).digest("base64url")}`;
}

function readKept(text: string, nowMs: number): Identity | undefined {
  const kept: unknown = JSON.parse(text);
  if (!isObject(kept) || !isObject(kept["identity"])) return undefined;
  const until = kept["until"];
  return typeof until === "number" && until > nowMs ? toIdentity(kept["identity"]) : undefined;
}

/** What `create` wrote, so its fields have their types. */
function toIdentity({ user, rooms, expiresAt, issuedAt }: JsonObject): Identity | undefined {
  if (typeof user !== "string") return undefined;
  return {
    user,
    ...(rooms !== undefined && { rooms: rooms as RoomRights }),
    ...(typeof expiresAt === "number" && { expiresAt }),
    ...(typeof issuedAt === "number" && { issuedAt }),
  };
}
