import type { HistoryFrame } from "../protocol/frames.ts";
import { Emitter } from "./emitter.ts";
import type { Membership } from "./membership.ts";
import type { HistoryPage, Kept, Off, PublishOptions, Publishing, Room, RoomEvents, RoomState } from "./types.ts";

/** What handles ask of the client that owns the room. */
export interface RoomOwner {
  /** `room` is undefined where the handle was left. */
  publish(room: Membership | undefined, event: string, data: unknown, options: PublishOptions): Publishing<Kept>;
  signal(room: Membership, event: string, data: unknown): boolean;
  history(room: string, before: number | undefined, limit: number): Promise<HistoryFrame>;
  setPresence(room: Membership, data: unknown): void;
  leave(room: Membership): void;
  listenerFailed(cause: unknown): void;
}

/** One handle. After `leave` it keeps what it knew and does nothing more. */
export class RoomHandle implements Room {
  readonly name: string;
  readonly #membership: Membership;
  readonly #owner: RoomOwner;
  readonly #emitter: Emitter<RoomEvents>;
  #left = false;

  constructor(membership: Membership, owner: RoomOwner) {
    this.name = membership.name;
    this.#membership = membership;
    this.#owner = owner;
    this.#emitter = new Emitter((cause) => owner.listenerFailed(cause));
    membership.emitters.add(this.#emitter);
  }

  get state(): RoomState {
    return this.#left ? "left" : this.#membership.state;
  }
  get presence(): Room["presence"] {
    return this.#membership.presence;
  }
  get members(): number {
    return this.#membership.members;
  }
  get rights(): Room["rights"] {
    return this.#membership.rights;
  }
  get cursor(): string | undefined {
    return this.#membership.cursor;
  }

  on<E extends keyof RoomEvents>(event: E, listener: (value: RoomEvents[E]) => void): Off {
    return this.#left ? () => {} : this.#emitter.on(event, listener);
  }

  publish(event: string, data: unknown, options: PublishOptions = {}): Publishing<Kept> {
    return this.#owner.publish(this.#left ? undefined : this.#membership, event, data, options);
  }

  signal(event: string, data: unknown): boolean {
    return !this.#left && this.#owner.signal(this.#membership, event, data);
  }

  async history({ before, limit = 50 }: { before?: number; limit?: number } = {}): Promise<HistoryPage> {
    const { messages, cursor, more } = await this.#owner.history(this.name, before, limit);
    const past = messages.map(({ event, data = null, offset, from, at, key }) => ({ event, data, offset, from, at, key }));
    return { messages: past, cursor, more };
  }

  setPresence(data: unknown): void {
    if (!this.#left) this.#owner.setPresence(this.#membership, data);
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#emitter.clear();
    this.#membership.emitters.delete(this.#emitter);
    this.#owner.leave(this.#membership);
  }
}
