import { BackendUnavailable, type LogEntry, type RoomRef } from "../backend.ts";
import type { Engine } from "./engine.ts";
import type { KnownRooms } from "./known-rooms.ts";
import { epochOf } from "./names.ts";
import { decodePayload, toEntry } from "./record.ts";
import { type Place, Shape } from "./shape.ts";
import { epochAt, type Top, type Tops } from "./tops.ts";

/** Messages that are asked for at a time. */
const mostRequests = 64;

/** Reads the logs of rooms. */
export class Pages {
  readonly #engine: Engine;
  readonly #rooms: KnownRooms;
  readonly #tops: Tops;

  constructor(engine: Engine, rooms: KnownRooms, tops: Tops) {
    this.#engine = engine;
    this.#rooms = rooms;
    this.#tops = tops;
  }

  async after(room: RoomRef, offset: number, limit: number, epoch: string | undefined): Promise<LogEntry[]> {
    if (limit <= 0) return [];
    return this.#pick(room, epoch, (shape, now) => shape.after(offset, limit, room.keep, now), limit);
  }

  async before(room: RoomRef, offset: number, limit: number, epoch: string | undefined): Promise<LogEntry[]> {
    if (limit <= 0) return [];
    return this.#pick(room, epoch, (shape, now) => shape.before(offset, limit, room.keep, now));
  }

  async count(room: RoomRef, after: number, head: number, epoch: string): Promise<number> {
    const known = this.#known(room, epoch);
    const shape = known !== undefined && known.top >= head ? known : await this.#current(room, epoch);
    return shape?.count(after, head, room.keep, this.#engine.context.now()) ?? 0;
  }

  /** The shape of the log up to `top` at least. One read at a time a room. */
  async shape(room: RoomRef, { known, seq }: Top): Promise<Shape> {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (known.shape !== undefined && known.shape.top >= seq) return known.shape;
      known.shaping ??= this.#extended(room, known.shape ?? new Shape(known.life)).finally(
        () => (known.shaping = undefined),
      );
      known.shape = await known.shaping;
    }
    throw new BackendUnavailable("the room's log ends before where it ended");
  }

  async #extended(room: RoomRef, shape: Shape): Promise<Shape> {
    const { api, names } = this.#engine;
    for (const each of await api.shape(names.log, names.logOf(room.name), shape.top + 1)) shape.add(each);
    if (shape.top === 0) throw new BackendUnavailable("the room's log is gone while it is read");
    return shape;
  }

  /** The room's shape as of now; undefined where it has no log, or another epoch. */
  async #current(room: RoomRef, epoch: string | undefined): Promise<Shape | undefined> {
    const top = await this.#tops.ifAny(room);
    if (top === undefined || (epoch !== undefined && epoch !== epochAt(top))) return undefined;
    return this.shape(room, top);
  }

  /** The room's shape as it was read last; undefined where none was, or in another epoch. */
  #known(room: RoomRef, epoch: string | undefined): Shape | undefined {
    const known = this.#rooms.get(room.name);
    const { name } = this.#engine.life.current;
    return known?.streamLife === name && epoch === epochOf(name, known.life) ? known.shape : undefined;
  }

  async #pick(
    room: RoomRef,
    epoch: string | undefined,
    choose: (shape: Shape, now: number) => Place[],
    enough = Infinity,
  ): Promise<LogEntry[]> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const known = this.#known(room, epoch);
      let shape = known;
      let places = shape === undefined ? [] : choose(shape, this.#engine.context.now());
      // A full page needs no look at where the log ends now.
      if (shape === undefined || places.length < enough) {
        shape = await this.#current(room, epoch);
        if (shape === undefined) return [];
        places = choose(shape, this.#engine.context.now());
      }
      const entries = await this.#fetch(places, shape.life);
      if (entries !== undefined) return entries;
      // Purged by another node, which keeps less, or with the stream: the log is read anew.
      const stale = this.#rooms.get(room.name);
      if (stale !== undefined) stale.shape = undefined;
    }
    throw new BackendUnavailable("the room's log is trimmed faster than it can be read");
  }

  /** Of a room's life. undefined: one of them is there no more. */
  async #fetch(places: readonly Place[], life: string): Promise<LogEntry[] | undefined> {
    const entries: LogEntry[] = [];
    for (let from = 0; from < places.length; from += mostRequests) {
      const part = await Promise.all(places.slice(from, from + mostRequests).map((place) => this.#entry(place, life)));
      for (const entry of part) {
        if (entry === undefined) return undefined;
        entries.push(entry);
      }
    }
    return entries;
  }

  async #entry({ offset, prev }: Place, life: string): Promise<LogEntry | undefined> {
    const { api, names } = this.#engine;
    const stored = (await api.direct(names.log, offset)) ?? (await api.bySequence(names.log, offset));
    // In a stream that was made anew since, the number is that of another message, of any room.
    if (stored?.stamp?.life !== life) return undefined;
    return toEntry(offset, prev, stored.stamp.at, decodePayload(stored.text));
  }
}
