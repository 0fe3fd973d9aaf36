import { checkEvent } from "./checks.ts";
import { createEmitter } from "./emitter.ts";
import { FanfareError } from "./errors.ts";
import type { Membership } from "./membership.ts";
import type { Answers, Kind } from "./requests.ts";
import type { HistoryPage, Kept, Room, RoomEvents } from "./types.ts";

export interface RoomRequest {
  readonly type: string;
  readonly room: string;
  readonly [field: string]: unknown;
}

/** What handles ask of the client that owns the room. */
export interface RoomOwner {
  randomKey(): string;
  /** Rejects with a FanfareError. `until`: by default it may wait for as long as it takes. */
  request<K extends Kind>(kind: K, frame: RoomRequest, until?: number): Promise<Answers[K]>;
  /** A page of history is waited for until then. */
  lateAt(): number;
  /** Sends at once, or not at all. Throws where JSON cannot hold it. */
  sendNow(frame: RoomRequest): boolean;
  setPresence(room: Membership, data: unknown): void;
  /** To be called when a room may not be needed any more. */
  release(room: Membership): void;
  listenerFailed(cause: unknown): void;
}

/** One handle. After `leave` it keeps what it knew and does nothing more. */
export function createRoom(membership: Membership, owner: RoomOwner): Room {
  const emitter = createEmitter<RoomEvents>(owner.listenerFailed);
  const { name: room, spec, emitters } = membership;
  const stateNow = (): Room["state"] => (emitters.has(emitter) ? membership.state : "left");
  emitters.add(emitter);

  async function publish(frame: RoomRequest & { event: string; data: unknown }): Promise<Kept> {
    if (stateNow() === "left") throw new FanfareError("left", { room });
    const fault = checkEvent(room, spec?.events, frame.event, frame.data);
    if (fault) throw fault;
    try {
      return (await owner.request("publish", frame)) as Kept;
    } finally {
      // A room whose last handle was left is kept until what was published there is settled.
      owner.release(membership);
    }
  }

  return {
    name: room,
    get state() {
      return stateNow();
    },
    get presence() {
      return membership.presence;
    },
    get members() {
      return membership.members;
    },
    get rights() {
      return membership.rights;
    },
    get cursor() {
      return membership.cursor;
    },
    on: emitter.on,
    publish(event, data, { echo, key = owner.randomKey() } = {}) {
      return Object.assign(publish({ type: "publish", room, key, event, data, echo }), { key });
    },
    signal(event, data) {
      const fault = checkEvent(room, spec?.signals, event, data);
      if (fault) throw fault;
      return stateNow() === "joined" && owner.sendNow({ type: "signal", room, event, data });
    },
    history: ({ before, limit = 50 } = {}) =>
      owner.request("history", { type: "history", room, before, limit }, owner.lateAt()) as Promise<HistoryPage>,
    setPresence(data) {
      if (stateNow() !== "left") owner.setPresence(membership, data);
    },
    leave() {
      emitter.clear();
      // After a moment: a part of the app that is replaced by another (a component mounted anew) costs no arrival.
      if (emitters.delete(emitter)) queueMicrotask(() => owner.release(membership));
    },
  };
}
