import type { Member, PresenceFrame } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import type { Clock } from "./clock.ts";

/** P-43: a room that went over the bound lists its members again when it is under this share of it. */
const listAgainShare = 0.75;
/** P-43: counts are sent at most so often. */
const countEveryMs = 1_000;

interface Present {
  connections: number;
  data: Json;
  /** Runs while the user has no connection and may yet come back (P-41). */
  grace: unknown;
}

/** What a room's presence tells, and when a last member is gone for good. */
export interface PresenceEvents {
  /** A change that everyone who listens is told. */
  changed(frame: PresenceFrame): void;
  /** A grace has ended; the room may be empty now. */
  graceEnded(): void;
}

/**
 * The users in one room (P-40 to P-43): each with the number of their connections here and one `data`. Arrivals and
 * departures of a user alternate, whatever their connections do.
 */
export class Presence {
  readonly #room: string;
  readonly #bound: number;
  readonly #clock: Clock;
  readonly #events: PresenceEvents;
  readonly #users: Map<string, Present> = new Map();
  #countsOnly = false;
  #countTimer: unknown;

  constructor(room: string, bound: number, clock: Clock, events: PresenceEvents) {
    this.#room = room;
    this.#bound = bound;
    this.#clock = clock;
    this.#events = events;
  }

  /** Members, with those whose connection vanished and who may yet come back. */
  get size(): number {
    return this.#users.size;
  }

  /** The whole list, or undefined in a room that is over the bound. */
  list(): Member[] | undefined {
    if (this.#countsOnly) return undefined;
    return Array.from(this.#users, ([user, { data }]) => ({ user, data }));
  }

  members(): Member[] {
    return Array.from(this.#users, ([user, { data }]) => ({ user, data }));
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** A connection of the user enters. `data` undefined: what was given before stays. */
  enter(user: string, data: Json | undefined): void {
    const present = this.#users.get(user);
    if (present === undefined) {
      this.#users.set(user, { connections: 1, data: data ?? null, grace: undefined });
      this.#tell({ joined: [{ user, data: data ?? null }] });
      return;
    }
    present.connections++;
    this.#clock.clearTimeout(present.grace);
    present.grace = undefined;
    if (data !== undefined) this.update(user, data);
  }

  update(user: string, data: Json): void {
    const present = this.#users.get(user);
    if (present === undefined || JSON.stringify(present.data) === JSON.stringify(data)) return;
    present.data = data;
    if (!this.#countsOnly) this.#tell({ updated: [{ user, data }] });
  }

  /** A connection of the user is gone; the user is after `graceMs`, and at once where that is 0. */
  leave(user: string, graceMs: number): void {
    const present = this.#users.get(user);
    if (present === undefined || --present.connections > 0) return;
    if (graceMs <= 0) {
      this.#remove(user);
      return;
    }
    present.grace = this.#clock.setTimeout(() => {
      this.#remove(user);
      this.#events.graceEnded();
    }, graceMs);
  }

  /** Takes the user out, however many connections there are. */
  remove(user: string): void {
    const present = this.#users.get(user);
    if (present === undefined) return;
    this.#clock.clearTimeout(present.grace);
    this.#remove(user);
  }

  /** Stops all timers; nothing is told any more. */
  close(): void {
    for (const present of this.#users.values()) this.#clock.clearTimeout(present.grace);
    this.#users.clear();
    this.#clock.clearTimeout(this.#countTimer);
    this.#countTimer = undefined;
  }

  #remove(user: string): void {
    this.#users.delete(user);
    this.#tell({ left: [{ user }] });
  }

  #tell(change: Pick<PresenceFrame, "joined" | "left" | "updated">): void {
    if (!this.#countsOnly && this.#users.size > this.#bound) this.#countsOnly = true;
    else if (this.#countsOnly && this.#users.size < this.#bound * listAgainShare) {
      this.#countsOnly = false;
      this.#clock.clearTimeout(this.#countTimer);
      this.#countTimer = undefined;
      this.#events.changed(this.#frame({ all: this.members() }));
      return;
    }
    if (!this.#countsOnly) this.#events.changed(this.#frame(change));
    else this.#countTimer ??= this.#clock.setTimeout(this.#tellCount, countEveryMs);
  }

  readonly #tellCount = (): void => {
    this.#countTimer = undefined;
    this.#events.changed(this.#frame({}));
  };

  #frame(change: Partial<PresenceFrame>): PresenceFrame {
    return { type: "presence", room: this.#room, ...change, members: this.#users.size };
  }
}
