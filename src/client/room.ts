import type { HistoryFrame } from "../protocol/frames.ts";
import { createEmitter } from "./emitter.ts";
import type { Membership } from "./membership.ts";
import type { HistoryPage, Kept, PublishOptions, Publishing, Room, RoomEvents } from "./types.ts";

/** What handles ask of the client that owns the room. */
export interface RoomOwner {
  /** `room` is undefined where the handle was left. */
  publish(room: Membership | undefined, event: string, data: unknown, options: PublishOptions): Publishing<Kept>;
  signal(room: Membership, event: string, data: unknown): boolean;
  history(room: string, before: number | undefined, limit: number): Promise<HistoryFrame>;
  /** Throws where the data breaks the contract. */
  setPresence(room: Membership, data: unknown): void;
  leave(room: Membership): void;
  listenerFailed(cause: unknown): void;
}

/** One handle. After `leave` it keeps what it knew and does nothing more. */
export function createRoom(membership: Membership, owner: RoomOwner): Room {
  const emitter = createEmitter<RoomEvents>(owner.listenerFailed);
  const { name, emitters } = membership;
  const isLeft = (): boolean => !emitters.has(emitter);
  emitters.add(emitter);
  return {
    name,
    get state() {
      return isLeft() ? "left" : membership.state;
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
    on: (event, listener) => (isLeft() ? () => {} : emitter.on(event, listener)),
    publish: (event, data, options = {}) => owner.publish(isLeft() ? undefined : membership, event, data, options),
    signal: (event, data) => !isLeft() && owner.signal(membership, event, data),
    history: ({ before, limit = 50 } = {}) => owner.history(name, before, limit) as Promise<HistoryPage>,
    setPresence(data) {
      if (!isLeft()) owner.setPresence(membership, data ?? null);
    },
    leave() {
      if (!emitters.delete(emitter)) return;
      emitter.clear();
      owner.leave(membership);
    },
  };
}
