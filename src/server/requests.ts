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
import type { AppHandlers } from "./app-handlers.ts";
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
import { nameFact, traced, tracedPublish } from "./traced.ts";
import type { SpanFacts, Tracing } from "./tracing.ts";
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
  readonly app: AppHandlers;
  readonly tracing: Tracing | undefined;
}

/** Why the server ends a membership. */
export type ExpelReason = "forbidden" | "removed";

/** A join that has passed all that can refuse it; its room is held open until `release`. */
export interface Prepared {
  /** Takes the connection in, where it is still there. */
  enter(): void;
  /** Called once. Tells the app's `leave` handler where its `join` let in one who never entered. */
  release(): void;
}

/** A join that the app has let in. */
interface Admitted {
  readonly room: Room;
  readonly data: Json | undefined;
  /** The app's `join` handler has run for it, so that a `leave` is due. */
  isTold: boolean;
  isEntered: boolean;
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

  join(peer: Requester, frame: JoinFrame): Promise<void> {
    return traced(this.#context.tracing, "fanfare.join", factsOf(peer, frame), () => this.#join(peer, frame));
  }

  async #join(peer: Requester, frame: JoinFrame): Promise<void> {
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
  prepare(peer: Requester, frame: JoinFrame, access: Access): Promise<Prepared> {
    const prepare = (): Promise<Prepared> => this.#prepare(peer, frame, access);
    return traced(this.#context.tracing, "fanfare.join", factsOf(peer, frame), prepare);
  }

  async #prepare(peer: Requester, frame: JoinFrame, access: Access): Promise<Prepared> {
    const admitted = await this.#admit(peer, frame, access);
    const { room, data } = admitted;
    const release = (): void => void this.#release(peer, admitted);
    try {
      const start = await this.#start(peer, frame, room, access.rights);
      const enterNow = (): void => {
        admitted.isEntered = enter(peer, room, frame, access.rights, data, start);
      };
      return { enter: enterNow, release };
    } catch (error) {
      release();
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
  async left(peer: Requester, { name, kind }: Pick<Room, "name" | "kind">): Promise<void> {
    const { leave } = kind.handlers;
    const params = leave && this.#context.catalog.find(name)?.params;
    if (leave === undefined || params === undefined) return;
    await this.#context.app.run("leave", { room: name, params, ...who(peer), user: peer.user }, leave);
  }

  /** `mayAppend` throws where a publish before this one has an unknown outcome (P-33). */
  publish(peer: Requester, frame: PublishFrame, mayAppend: () => void): Promise<Submitted> {
    const { counts, tracing } = this.#context;
    const submit = (): Promise<Submitted> => this.#publish(peer, frame, mayAppend);
    return counts.published(tracedPublish(tracing, factsOf(peer, frame), submit));
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

  /** What the user may do in a room with other credentials; undefined where it may not be there any more (P-17). */
  async rightsAgain(peer: Requester, room: Room, identity: Identity): Promise<ReadonlySet<Right> | undefined> {
    try {
      return (await accessTo(this.#context, { identity, connection: peer.id }, room.name, "join")).rights;
    } catch (error) {
      if (error instanceof Refused) return undefined;
      throw error;
    }
  }

  #access(peer: Requester, room: string, needed: Right | "join"): Promise<Access> {
    return accessTo(this.#context, who(peer), room, needed);
  }

  async #publish(peer: Requester, frame: PublishFrame, mayAppend: () => void): Promise<Submitted> {
    const access = await this.#memberAccess(peer, frame.room, "publish");
    // After the rights: who may not publish here must not use up what the others have.
    this.#context.rates.publish(peer, frame.room, this.#context.limits.rooms);
    const { room, event, data, key, echo } = frame;
    const message = { room, event, data, key, except: echo ? undefined : peer.id, mayAppend };
    return submitForUser(this.#context, who(peer), access, message);
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
    const admitted = await this.#admit(peer, frame, access);
    const { room, data } = admitted;
    try {
      let { rights } = access;
      let settledFor = identity;
      let start = await this.#start(peer, frame, room, rights);
      while (!peer.closed) {
        if (peer.identity !== settledFor) {
          // P-17: other credentials came while this join waited, and count for it as for the rooms that it was in.
          settledFor = peer.identity;
          ({ rights } = await this.joinAccess(peer, frame));
          start = await this.#start(peer, frame, room, rights);
        } else if (!admitted.isTold && !peer.joined.has(room.name)) {
          // It was taken out while it joined again, so it comes in anew.
          await this.#tellJoin(peer, frame, access, data);
          admitted.isTold = true;
        } else break;
      }
      admitted.isEntered = enter(peer, room, frame, rights, data, start);
    } finally {
      await this.#release(peer, admitted);
    }
  }

  /** All but the log that can refuse a join after its access. The room is held open until `#release`. */
  async #admit(peer: Requester, frame: JoinFrame, access: Access): Promise<Admitted> {
    const { kind } = access;
    const data = frame.data === undefined ? undefined : await checkPresence(kind, frame.data);
    // One who joins again has entered before: its rights were asked for anew, and the app's handler knows of it.
    const isTold = !peer.joined.has(frame.room);
    if (isTold) await this.#tellJoin(peer, frame, access, data);
    try {
      return { room: await this.#context.rooms.hold(frame.room, kind), data, isTold, isEntered: false };
    } catch (error) {
      if (isTold) await this.#untold(peer, { name: frame.room, kind });
      throw error;
    }
  }

  async #tellJoin(
    peer: Requester,
    { room: name }: JoinFrame,
    { kind, params }: Access,
    data: Json | undefined,
  ): Promise<void> {
    const { join } = kind.handlers;
    if (join === undefined) return;
    const context = { room: name, params, data, ...who(peer), user: peer.user };
    await this.#context.app.run("join", context, join, () => void this.#untold(peer, { name, kind }));
  }

  async #release(peer: Requester, { room, isTold, isEntered }: Admitted): Promise<void> {
    room.release();
    if (isTold && !isEntered) await this.#untold(peer, room);
  }

  /** For each `join` of the app that let somebody in there is one `leave`, also where nobody entered. */
  async #untold(peer: Requester, room: Pick<Room, "name" | "kind">): Promise<void> {
    if (room.kind.handlers.join === undefined) return;
    await this.left(peer, room).catch((error: unknown) => this.#leaveFailed(peer, error));
  }

  #leaveFailed(peer: Requester, error: unknown): void {
    this.#context.app.failed(error, { connection: peer.id, request: "leave" });
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
): boolean {
  if (peer.closed) return false;
  peer.joined.set(frame.room, room);
  room.enter(peer, { re: frame.id, rights, presence: frame.presence, data, start });
  return true;
}

function who(peer: Requester): { identity: Identity; connection: string } {
  return { identity: peer.identity, connection: peer.id };
}

function factsOf(peer: Requester, frame: { room: string; event?: string }): () => SpanFacts {
  const { room, event } = frame;
  return () => ({
    "fanfare.connection": peer.id,
    "fanfare.room": nameFact(room),
    ...(event !== undefined && { "fanfare.event": nameFact(event) }),
  });
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
