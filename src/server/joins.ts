import { encodeFrame } from "../protocol/encode.ts";
import type { JoinFrame, LeaveFrame, Right } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import { accessTo, forbidden, type Access } from "./access.ts";
import type { Identity } from "./auth/identity.ts";
import { checkPresence } from "./catalog.ts";
import { Refused } from "./refused.ts";
import { factsOf, who, type RequestContext, type Requester } from "./requester.ts";
import type { Room } from "./room.ts";
import { planStart, startUnkept, type Start } from "./start.ts";
import { traced } from "./traced.ts";

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

/** How connections come into rooms and go, and how the app's `join` and `leave` handlers hear of it, in pairs. */
export class Joins {
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
    const access = await accessTo(this.#context, who(peer), frame.room, "join");
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
