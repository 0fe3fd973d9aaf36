import type { Member, PresenceFrame } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import type { Clock } from "./clock.ts";
import { PresenceNews } from "./presence-news.ts";

interface Present {
  /** On this node. */
  connections: number;
  /** When the last of them came, monotonic; 0: none yet. */
  enteredAt: number;
  data: Json;
  /** Of `data`: of two the higher one counts, on every node. 0: none was ever given. */
  version: number;
  /** What the other nodes were told of `version`. */
  told: number;
  /** Runs while the user has no connection here and may yet come back (P-41). */
  grace: unknown;
  /** How many other nodes the user is on. */
  elsewhere: number;
}

/** What a room's presence tells, and when a last member is gone for good. */
export interface PresenceEvents {
  /** A change that everyone who listens is told. */
  changed(frame: PresenceFrame): void;
  /** A grace has ended; the room may be empty now. */
  graceEnded(): void;
}

/** A user's data as one node gives it. */
export interface Stand {
  readonly data: Json;
  readonly version: number;
}

/** The other nodes, as a room's presence speaks to them. */
export interface PresenceLink {
  /** Higher than every version that this node has seen. */
  nextVersion(): number;
  /** The user is on this node, with this data. */
  here(user: string, stand: Stand): void;
  /** The user is no longer on this node; `forGood`: nor in the grace of another (P-41). */
  gone(user: string, forGood: boolean): void;
}

/**
 * The users in one room (P-40 to P-43): each with the number of their connections here, the number of other nodes that
 * have them, and one `data`. Arrivals and departures of a user alternate, whatever their connections do.
 */
export class Presence {
  /** Set where there are other nodes. */
  link: PresenceLink | undefined;
  readonly #clock: Clock;
  readonly #events: PresenceEvents;
  readonly #users: Map<string, Present> = new Map();
  readonly #news: PresenceNews;
  #here = 0;
  /** While several changes are told as one: what each user's data was before, undefined for who was not there. */
  #before: Map<string, { readonly data: Json } | undefined> | undefined;

  constructor(room: string, bound: number, clock: Clock, events: PresenceEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#news = new PresenceNews({
      room,
      bound,
      clock,
      size: () => this.#users.size,
      members: () => this.members(),
      changed: (frame) => events.changed(frame),
    });
  }

  /** Members on all nodes, with those whose connection vanished and who may yet come back. */
  get size(): number {
    return this.#users.size;
  }

  /** Those of them who are on this node. */
  get here(): number {
    return this.#here;
  }

  /** The whole list, or undefined in a room that is over the bound. */
  list(): Member[] | undefined {
    return this.#news.countsOnly ? undefined : this.members();
  }

  members(): Member[] {
    return Array.from(this.#users, ([user, { data }]) => ({ user, data }));
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** A connection of the user enters. `data` undefined: what was given before stays. */
  enter(user: string, data: Json | undefined): void {
    const present = this.#users.get(user) ?? this.#add(user, data ?? null, this.#versionOf(data));
    const isNew = !isHere(present);
    if (isNew) this.#here++;
    present.connections++;
    present.enteredAt = this.#clock.monotonic();
    this.#clock.clearTimeout(present.grace);
    present.grace = undefined;
    const isTold = data !== undefined && this.#change(user, present, data, undefined);
    if (isNew && !isTold) this.#tellHere(user, present);
  }

  update(user: string, data: Json): void {
    const present = this.#users.get(user);
    if (present !== undefined) this.#change(user, present, data, undefined);
  }

  /** A connection of the user is gone; the user is after `graceMs`, and at once where that is 0. */
  leave(user: string, graceMs: number): void {
    const present = this.#users.get(user);
    if (present === undefined || present.connections === 0 || --present.connections > 0) return;
    if (graceMs <= 0) {
      this.#leaveHere(user, present, true);
      return;
    }
    present.grace = this.#clock.setTimeout(() => this.#endGrace(user, present), graceMs);
  }

  /** Takes the user out of this node, however many connections there are, where none has come since `givenAt`. */
  remove(user: string, givenAt: number = Infinity): void {
    const present = this.#users.get(user);
    if (present === undefined || !isHere(present) || present.enteredAt > givenAt) return;
    this.#leaveHere(user, present, true);
  }

  /** Stops all timers; nothing is told any more. */
  close(): void {
    for (const present of this.#users.values()) this.#clock.clearTimeout(present.grace);
    this.#users.clear();
    this.#here = 0;
    this.#news.close();
  }

  /** The user's data, whichever node the user is on. */
  stand(user: string): Stand | undefined {
    return this.#users.get(user);
  }

  /** Who is on this node, as the other nodes are told. */
  *standing(): Generator<readonly [string, Stand]> {
    for (const [user, present] of this.#users) if (isHere(present)) yield [user, present];
  }

  /** All that `change` does is told as one; `repaired`: as a whole list, because some of it may have come late (P-42). */
  together(repaired: boolean, change: () => void): void {
    const before = (this.#before = new Map());
    change();
    this.#before = undefined;
    this.#tellSince(before, repaired);
  }

  /** Another node has the user, too; `isNew`: it had not until now. */
  arrived(user: string, { data, version }: Stand, isNew: boolean): void {
    const present = this.#users.get(user) ?? this.#add(user, data, version);
    if (isNew) present.elsewhere++;
    this.#change(user, present, data, version);
  }

  /** Another node has the user no more. */
  departed(user: string): void {
    const present = this.#users.get(user);
    if (present === undefined) return;
    present.elsewhere--;
    if (!isHere(present)) this.#removeIfGone(user, present);
    // That node may have been the only one to tell those who come later of the newest data.
    else if (present.version > present.told) this.#tellHere(user, present);
  }

  /** Ends the user's grace on this node, where one runs: the user said goodbye on another. */
  endGrace(user: string): void {
    const present = this.#users.get(user);
    if (present?.grace === undefined) return;
    this.#clock.clearTimeout(present.grace);
    this.#endGrace(user, present);
  }

  /** Ends every grace: the other nodes count this one's users as gone, and some may be on those by now. */
  endGraces(): void {
    for (const user of [...this.#users.keys()]) this.endGrace(user);
  }

  #add(user: string, data: Json, version: number): Present {
    const present = { connections: 0, enteredAt: 0, data, version, told: -1, grace: undefined, elsewhere: 0 };
    this.#users.set(user, present);
    this.#tell(user, undefined, { joined: [{ user, data }] });
    return present;
  }

  /** A version undefined: given here, just now. Tells whether the other nodes were told. */
  #change(user: string, present: Present, data: Json, version: number | undefined): boolean {
    const was = present.data;
    const [old, given] = [JSON.stringify(was), JSON.stringify(data)];
    if (old === given) {
      present.version = Math.max(present.version, version ?? 0);
      return false;
    }
    // Two that were given at the same time: every node takes the same one.
    if (version !== undefined && (version < present.version || (version === present.version && given < old)))
      return false;
    present.data = data;
    present.version = version ?? this.#versionOf(data);
    this.#tell(user, { data: was }, { updated: [{ user, data }] });
    if (version !== undefined || !isHere(present)) return false;
    this.#tellHere(user, present);
    return true;
  }

  #versionOf(data: Json | undefined): number {
    return data === undefined ? 0 : (this.link?.nextVersion() ?? 0);
  }

  #tellHere(user: string, present: Present): void {
    present.told = present.version;
    this.link?.here(user, { data: present.data, version: present.version });
  }

  #endGrace(user: string, present: Present): void {
    this.#leaveHere(user, present, false);
    this.#events.graceEnded();
  }

  #leaveHere(user: string, present: Present, forGood: boolean): void {
    this.#clock.clearTimeout(present.grace);
    present.grace = undefined;
    present.connections = 0;
    present.told = -1;
    this.#here--;
    this.link?.gone(user, forGood);
    this.#removeIfGone(user, present);
  }

  #removeIfGone(user: string, present: Present): void {
    // A goodbye here ends waits elsewhere, and so can have taken the user out already.
    if (isHere(present) || present.elsewhere > 0 || !this.#users.delete(user)) return;
    this.#tell(user, { data: present.data }, { left: [{ user }] });
  }

  #tell(user: string, before: { readonly data: Json } | undefined, change: Parameters<PresenceNews["tell"]>[0]): void {
    if (this.#before === undefined) this.#news.tell(change);
    else if (!this.#before.has(user)) this.#before.set(user, before);
  }

  #tellSince(before: ReadonlyMap<string, { readonly data: Json } | undefined>, repaired: boolean): void {
    const joined: Member[] = [];
    const left: { user: string }[] = [];
    const updated: Member[] = [];
    for (const [user, was] of before) {
      const is = this.#users.get(user);
      if (is === undefined) {
        if (was !== undefined) left.push({ user });
      } else if (was === undefined) joined.push({ user, data: is.data });
      else if (JSON.stringify(was.data) !== JSON.stringify(is.data)) updated.push({ user, data: is.data });
    }
    if (joined.length + left.length + updated.length === 0) return;
    if (repaired) {
      this.#news.tellAll();
      return;
    }
    this.#news.tell({
      ...(joined.length > 0 && { joined }),
      ...(left.length > 0 && { left }),
      ...(updated.length > 0 && { updated }),
    });
  }
}

function isHere({ connections, grace }: Present): boolean {
  return connections > 0 || grace !== undefined;
}
