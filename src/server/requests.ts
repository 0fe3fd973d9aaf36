import type { Backend } from "../backends/backend.ts";
import { encodeFrame, encodeJson } from "../protocol/encode.ts";
import type {
  HistoryRequest,
  JoinFrame,
  LeaveFrame,
  PresenceRequest,
  PublishFrame,
  Right,
  SignalRequest,
} from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import { accessTo, forbidden, type Access } from "./access.ts";
import type { Identity } from "./auth/identity.ts";
import { validate, type Catalog, type RoomKind } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import { readPage } from "./history.ts";
import type { Limits } from "./options.ts";
import type { Counts } from "./metrics/counts.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { Peer } from "./peer.ts";
import { refOf, type Publisher, type Submitted } from "./publisher.ts";
import { Refused } from "./refused.ts";
import type { Room } from "./room.ts";
import type { Rooms } from "./rooms.ts";
import { planStart, startUnkept, type Start } from "./start.ts";
import { submitForUser } from "./user-publish.ts";

/** A member's presence data is sent to everyone in the room, and a list of 200 has to fit an outbox. */
const maxPresenceBytes = 4_096;

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
}

/** Why the server ends a membership. */
export type ExpelReason = "forbidden" | "removed";

/** A join that has passed all that can refuse it; its room is held open until `release`. */
export interface Prepared {
  readonly room: Room;
  /** Takes the connection in, where it is still there. */
  enter(): void;
  release(): void;
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

/** What each request does in its room. Refusals are thrown as `Refused`; answers are sent by the caller or in place. */
export class Requests {
  readonly #context: RequestContext;

  constructor(context: RequestContext) {
    this.#context = context;
  }

  async join(peer: Requester, frame: JoinFrame): Promise<void> {
    const { identity } = peer;
    const access = await this.joinAccess(peer, frame);
    const isNew = !peer.joined.has(frame.room);
    if (isNew && peer.joined.size + peer.joining >= this.#context.limits.rooms) {
      throw new Refused("too_many_rooms", `a connection can be in ${this.#context.limits.rooms} rooms`);
    }
    peer.joining += isNew ? 1 : 0;
    try {
      await this.#enter(peer, frame, access, identity);
    } finally {
      peer.joining -= isNew ? 1 : 0;
    }
  }

  /** What a join would get (P-25), or the refusal that it meets. */
  async joinAccess(peer: Requester, frame: JoinFrame): Promise<Access> {
    const access = await this.#access(peer, frame.room, "join");
    if ((frame.presence === true || frame.data !== undefined) && !access.rights.has("presence")) throw forbidden();
    const kept = access.kind.keep !== false;
    if (kept && (frame.history ?? 0) > 0 && !access.rights.has("history")) throw forbidden();
    return access;
  }

  /**
   * A join up to its last step, for a connection that enters several rooms together or none. `access` is that of
   * `joinAccess`; the peer's identity must stay the same from there on.
   */
  async prepare(peer: Requester, frame: JoinFrame, access: Access): Promise<Prepared> {
    const { room, data } = await this.#admit(peer, frame, access);
    try {
      const start = await this.#start(peer, frame, room, access.rights);
      return {
        room,
        enter: () => enter(peer, room, frame, access.rights, data, start),
        release: () => room.release(),
      };
    } catch (error) {
      room.release();
      throw error;
    }
  }

  /** Ends a membership from the server's side; `left` is the room's last frame. */
  async expel(peer: Requester, room: Room, reason: ExpelReason): Promise<void> {
    if (!peer.joined.delete(room.name)) return;
    room.leave(peer, 0);
    peer.send(encodeFrame({ type: "left", room: room.name, reason }));
    await this.left(peer, room);
  }

  /** The connection is gone: its rooms are left at once, with a grace where it may come back (P-41). */
  leaveAll(peer: Requester, graceMs: number): Promise<void>[] {
    const rooms = [...peer.joined.values()];
    peer.joined.clear();
    return rooms.map((room) => {
      room.leave(peer, graceMs);
      return this.left(peer, room);
    });
  }

  /** Takes the connection out of the room, where it is in it; the caller answers. */
  async leave(peer: Requester, { room: name }: LeaveFrame): Promise<void> {
    const room = peer.joined.get(name);
    if (room === undefined) return;
    peer.joined.delete(name);
    room.leave(peer, 0);
    await this.left(peer, room);
  }

  /** Tells the app that a connection has gone from a room. */
  async left(peer: Requester, room: Room): Promise<void> {
    const { leave } = room.kind.handlers;
    const params = leave && this.#context.catalog.find(room.name)?.params;
    if (params !== undefined) await leave?.({ room: room.name, params, ...who(peer), user: peer.user });
  }

  /** `mayAppend` throws where a publish before this one has an unknown outcome (P-33). */
  publish(peer: Requester, frame: PublishFrame, mayAppend: () => void): Promise<Submitted> {
    return this.#context.counts.published(this.#publish(peer, frame, mayAppend));
  }

  async signal(peer: Requester, { room, event, data }: SignalRequest): Promise<void> {
    const { kind } = await this.#memberAccess(peer, room, "signal");
    this.#context.rates.send(room);
    await this.#context.publisher.signal({ room, kind, event, data, from: peer.user, except: peer.id });
  }

  async presence(peer: Requester, frame: PresenceRequest): Promise<void> {
    const { kind } = await this.#memberAccess(peer, frame.room, "presence");
    const data = await checkPresence(kind, frame.data);
    peer.joined.get(frame.room)?.presence.update(peer.user, data);
  }

  /** The answer's text (P-36). */
  async history(peer: Requester, frame: HistoryRequest): Promise<string> {
    const { kind } = await this.#access(peer, frame.room, "history");
    const page = await readPage(this.#context.backend, refOf(frame.room, kind), frame);
    return `{"type":"history","re":${JSON.stringify(frame.id)},"room":${JSON.stringify(frame.room)},${page}}`;
  }

  /** What the user may do in a room that it is in; undefined where it may not be there any more (P-17). */
  async rightsAgain(peer: Requester, room: Room): Promise<ReadonlySet<Right> | undefined> {
    try {
      return (await this.#access(peer, room.name, "join")).rights;
    } catch (error) {
      if (error instanceof Refused) return undefined;
      throw error;
    }
  }

  #access(peer: Requester, room: string, needed: Right | "join"): Promise<Access> {
    return accessTo(this.#context.catalog, who(peer), room, needed);
  }

  async #publish(peer: Requester, frame: PublishFrame, mayAppend: () => void): Promise<Submitted> {
    const access = await this.#memberAccess(peer, frame.room, "publish");
    // After the rights: who may not publish here must not use up what the others have.
    this.#context.rates.publish(peer, frame.room, this.#context.limits.rooms);
    const { room, event, data, key, echo } = frame;
    const message = { room, event, data, key, except: echo ? undefined : peer.id, mayAppend };
    return submitForUser(this.#context.publisher, who(peer), access, message);
  }

  /** Rights first, then membership (P-60). */
  async #memberAccess(
    peer: Requester,
    name: string,
    needed: Right,
  ): Promise<{ kind: RoomKind; params: Access["params"] }> {
    const room = peer.joined.get(name);
    const membership = room?.members.get(peer);
    if (room === undefined || membership === undefined) {
      await this.#access(peer, name, needed);
      throw new Refused("not_joined", "join the room first");
    }
    if (!membership.rights.has(needed)) throw forbidden();
    return { kind: room.kind, params: this.#context.catalog.find(name)?.params ?? {} };
  }

  /** `identity` is the one that `access` was settled for. */
  async #enter(peer: Requester, frame: JoinFrame, access: Access, identity: Identity): Promise<void> {
    const { room, data } = await this.#admit(peer, frame, access);
    try {
      let { rights } = access;
      let settledFor = identity;
      let start = await this.#start(peer, frame, room, rights);
      // P-17: other credentials came while this join waited, and count for it as for the rooms that it was in.
      while (peer.identity !== settledFor && !peer.closed) {
        settledFor = peer.identity;
        ({ rights } = await this.joinAccess(peer, frame));
        start = await this.#start(peer, frame, room, rights);
      }
      enter(peer, room, frame, rights, data, start);
    } finally {
      room.release();
    }
  }

  /** All but the log that can refuse a join after its access. The room is held open until `release`. */
  async #admit(
    peer: Requester,
    frame: JoinFrame,
    { kind, params }: Access,
  ): Promise<{ room: Room; data: Json | undefined }> {
    const data = frame.data === undefined ? undefined : await checkPresence(kind, frame.data);
    await kind.handlers.join?.({ room: frame.room, params, data, ...who(peer), user: peer.user });
    return { room: await this.#context.rooms.hold(frame.room, kind), data };
  }

  /** undefined: joined again without `since` and `history`, so the stream goes on (P-24). */
  async #start(peer: Requester, frame: JoinFrame, room: Room, rights: Access["rights"]): Promise<Start | undefined> {
    const { since, history } = frame;
    if (peer.joined.has(frame.room) && since === undefined && history === undefined) return undefined;
    const { backend, clock } = this.#context;
    const wanted = { since, history, mayReadHistory: rights.has("history"), nowMs: clock.now() };
    return room.kept ? planStart(backend, room, wanted) : startUnkept(wanted);
  }
}

function enter(
  peer: Requester,
  room: Room,
  frame: JoinFrame,
  rights: ReadonlySet<Right>,
  data: Json | undefined,
  start: Start | undefined,
): void {
  if (peer.closed) return;
  peer.joined.set(frame.room, room);
  room.enter(peer, { re: frame.id, rights, presence: frame.presence, data, start });
}

function who(peer: Requester): { identity: Identity; connection: string } {
  return { identity: peer.identity, connection: peer.id };
}

async function checkPresence(kind: RoomKind, given: Json): Promise<Json> {
  const data = await validate(kind.spec.presence, given);
  if (Buffer.byteLength(encodeJson(data)) > maxPresenceBytes) {
    throw new Refused("invalid_data", `presence data is at most ${maxPresenceBytes} bytes of JSON`);
  }
  return data as Json;
}

/** P-3: `re` where the request had an id; `room` where it named one. */
export function errorFrame(refused: Refused, frame: { id?: string | undefined; room?: string }): string {
  return encodeFrame({
    type: "error",
    ...(frame.id !== undefined && { re: frame.id }),
    ...(frame.room !== undefined && { room: frame.room }),
    code: refused.code,
    message: refused.message,
    ...(refused.retryAfterMs !== undefined && { retry_after_ms: refused.retryAfterMs }),
    ...(refused.issues !== undefined && { issues: refused.issues }),
  });
}
