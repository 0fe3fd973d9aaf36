import { BackendUnavailable, type LogEntry, type RoomRef } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { FeedState, Position } from "../feed/engine.ts";
import type { Stored } from "./api.ts";
import type { Engine } from "./engine.ts";
import { epochOf } from "./names.ts";
import { decodePayload, type Stamp, stampHeaders, toEntry } from "./record.ts";
import { type Place, Shape, type Shaped } from "./shape.ts";

/** Rooms that nobody here listens to are remembered up to so many; the one that was used longest ago goes first. */
const mostRooms = 5_000;
/** Messages that are asked for at a time. */
const mostRequests = 64;
/** How long a room that nobody uses outlives its last message and key; nodes that listen mark it before. */
const lingerMs = 30 * 60_000;
/** Of a shape that is longer than this many times what is kept, the oldest part goes. */
const slack = 2;

/** What this node knows of a room's log. */
interface Known {
  life: string;
  /** Of the stream when this was learned. */
  streamLife: string;
  /** When the stream took the newest message or mark, by the engine's clock. */
  lastAt: number;
  /** The newest mark, and the offset before it: marks are no messages, and yet another's predecessor in the stream. */
  mark: { readonly seq: number; readonly head: number } | undefined;
  keptMost: number;
  shape: Shape | undefined;
  shaping: Promise<Shape> | undefined;
}

/** What the newest message of a room's subject tells. */
interface Top {
  readonly known: Known;
  readonly seq: number;
  readonly head: number;
}

/** A message as the stream sent it on. */
export interface Pushed extends Shaped {
  readonly stamp: Stamp;
  /** The sequence before it in the room. */
  readonly last: number;
}

/** The logs of rooms, read from the stream. */
export class Logs {
  readonly #engine: Engine;
  readonly #isWatched: (room: string) => boolean;
  readonly #rooms = new Map<string, Known>();
  #dedupeMs = 300_000;

  /** `isWatched`: whether this node listens to the room, so that nobody may take it for forgotten. */
  constructor(engine: Engine, isWatched: (room: string) => boolean) {
    this.#engine = engine;
    this.#isWatched = isWatched;
  }

  /** Keys outlive their message: a room lives at least as long. */
  useDedupe(ms: number): void {
    this.#dedupeMs = Math.max(this.#dedupeMs, ms);
  }

  /** How long the stream must hold a room's messages. */
  lifetimeMs({ keep }: RoomRef): number {
    return Math.max(keep.ms, this.#dedupeMs) + lingerMs;
  }

  forget(room: string): void {
    this.#rooms.delete(room);
  }

  /** The life of the room, for what is appended now; a room that has none begins one. */
  async lifeOf(room: RoomRef): Promise<string> {
    const known = this.#rooms.get(room.name);
    const isFresh = known !== undefined && this.#engine.clock.now() < known.lastAt + this.lifetimeMs(room) / 2;
    if (isFresh && known.streamLife === this.#engine.life.current.name) return this.#used(room, known).life;
    return (await this.#top(room)).known.life;
  }

  /** As `lifeOf`, of a room that has one. */
  async lifeIfAny(room: RoomRef): Promise<string | undefined> {
    const known = this.#rooms.get(room.name);
    if (known?.streamLife === this.#engine.life.current.name) return known.life;
    return (await this.#topIfAny(room))?.known.life;
  }

  /** `known` as in `FeedEngine`. Without `isExact`, `trimmed` may be too low. */
  async state(room: RoomRef, known?: Position, isExact = true): Promise<FeedState> {
    const { life } = this.#engine;
    let top = await this.#top(room);
    if (known !== undefined && known.epoch === this.#epoch(top) && top.head < known.offset) {
      await life.verify();
      top = await this.#settled(room, known);
      if (known.epoch === this.#epoch(top) && top.head < known.offset) await life.wentBackTo(top.seq);
    }
    const shape = isExact && top.head > 0 ? await this.#shape(room, top) : undefined;
    const { parent, fork } = life.current;
    return {
      epoch: this.#epoch(top),
      head: top.head,
      trimmed: shape?.trimmed(room.keep, this.#engine.context.now()) ?? 0,
      ...(parent !== undefined &&
        fork !== undefined && {
          since: { epoch: epochOf(parent, top.known.life), offset: Math.min(fork, top.head) },
        }),
    };
  }

  async read(room: RoomRef, after: number, limit: number, epoch: string | undefined): Promise<LogEntry[]> {
    if (limit <= 0) return [];
    return this.#pick(room, epoch, (shape, now) => shape.after(after, limit, room.keep, now), limit);
  }

  async readBack(room: RoomRef, before: number, limit: number, epoch: string | undefined): Promise<LogEntry[]> {
    if (limit <= 0) return [];
    return this.#pick(room, epoch, (shape, now) => shape.before(before, limit, room.keep, now));
  }

  async count(room: RoomRef, after: number, head: number, epoch: string): Promise<number> {
    const known = this.#rooms.get(room.name);
    const isThere = known?.shape !== undefined && known.shape.top >= head;
    const shape = isThere ? known.shape : await this.#current(room, epoch);
    return shape?.count(after, head, room.keep, this.#engine.context.now()) ?? 0;
  }

  /** The newest offset and epoch, marked as still in use where that is due. */
  async head(room: RoomRef): Promise<Position> {
    const top = await this.#top(room);
    return { epoch: this.#epoch(top), offset: top.head };
  }

  /** What was sent on live: the room as it is known follows, so that it need not be read. Gives the offset before it. */
  pushed(room: string, { seq, stamp, last }: Pushed): number {
    const known = this.#rooms.get(room);
    if (known?.life !== stamp.life) return last;
    known.lastAt = this.#engine.clock.now();
    const prev = last === known.mark?.seq ? known.mark.head : last;
    noteMark(known, seq, stamp);
    const { shape } = known;
    if (shape === undefined || shape.top !== last) return prev;
    shape.add({ seq, stamp });
    if (shape.size > known.keptMost * slack + mostRequests) shape.prune(known.keptMost);
    return prev;
  }

  #epoch({ known }: Top): string {
    return epochOf(this.#engine.life.current.name, known.life);
  }

  /** Where the log ends; begins a life where there is none, or where nobody came for so long that it is forgotten. */
  async #top(room: RoomRef): Promise<Top> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const stored = await this.#last(room.name);
      const age = stored?.stamp === undefined ? Infinity : this.#ageOf(stored);
      const lifetimeMs = this.lifetimeMs(room);
      const isForgotten = age > lifetimeMs && (age === Infinity || !this.#isWatched(room.name));
      if (stored?.stamp === undefined || isForgotten) {
        const born = await this.#mark(room, { life: newEpoch(), head: 0, last: stored?.seq ?? 0, attempt });
        if (born !== undefined && stored !== undefined) this.#purgeBefore(room, born.seq);
        if (born !== undefined) return born;
      } else {
        const head = headOf(stored.seq, stored.stamp);
        if (age <= lifetimeMs / 2) return this.#learn(room, stored.seq, stored.stamp, Date.parse(stored.time));
        const marked = await this.#mark(room, { life: stored.stamp.life, head, last: stored.seq, attempt });
        if (marked !== undefined) return marked;
      }
    }
    throw new BackendUnavailable("the room's log changes faster than it can be marked");
  }

  async #topIfAny(room: RoomRef): Promise<Top | undefined> {
    const stored = await this.#last(room.name);
    if (stored?.stamp === undefined) return undefined;
    const isOver = this.#ageOf(stored) > this.lifetimeMs(room);
    if (isOver && !this.#isWatched(room.name)) return undefined;
    return this.#learn(room, stored.seq, stored.stamp, Date.parse(stored.time));
  }

  /** By the engine's clock alone: the message's own date is of a node that may be wrong by hours. */
  #ageOf({ time }: Stored): number {
    return this.#engine.clock.now() - Date.parse(time);
  }

  /** A leader that is new may not have all yet. */
  async #settled(room: RoomRef, known: Position): Promise<Top> {
    let top = await this.#top(room);
    for (const ms of [100, 300, 600]) {
      if (this.#epoch(top) !== known.epoch || top.head >= known.offset) return top;
      await new Promise((resolve) => setTimeout(resolve, ms));
      top = await this.#top(room);
    }
    return top;
  }

  #last(room: string): Promise<Stored | undefined> {
    const { api, names } = this.#engine;
    return api.last(names.log, names.logOf(room));
  }

  /** undefined: another message was there first. */
  async #mark(
    room: RoomRef,
    { life, head, last, attempt }: { life: string; head: number; last: number; attempt: number },
  ): Promise<Top | undefined> {
    const { api, names, clock, context } = this.#engine;
    await this.#engine.streams.hold({ logMs: this.lifetimeMs(room) });
    const stamp: Stamp = {
      kind: "mark",
      life,
      streamLife: this.#engine.life.current.name,
      at: context.now(),
      head,
    };
    const subject = names.logOf(room.name);
    // Two births are one; where all was purged by hand since the last one, the second try's id is another.
    const id = `${subject}.${last}.${Math.floor(attempt / 3)}`;
    const ack = await api.publishAfter(last, subject, "", stampHeaders(stamp, id));
    if (ack.kind === "lost") return undefined;
    // A cluster may let a message in between.
    const between = head === 0 ? [] : await api.shape(names.log, subject, last + 1);
    const newest = between.findLast((each) => each.seq < ack.seq && each.stamp?.kind === "entry");
    if (newest === undefined) return this.#learn(room, ack.seq, stamp, clock.now());
    return this.#mark(room, { life, head: newest.seq, last: ack.seq, attempt });
  }

  #purgeBefore(room: RoomRef, seq: number): void {
    const { api, names } = this.#engine;
    api.purge(names.log, names.logOf(room.name), { seq }).catch(() => undefined);
  }

  #learn(room: RoomRef, seq: number, stamp: Stamp, takenAt: number): Top {
    const streamLife = this.#engine.life.current.name;
    const before = this.#rooms.get(room.name);
    const known: Known =
      before?.life === stamp.life
        ? before
        : {
            life: stamp.life,
            streamLife,
            lastAt: takenAt,
            mark: undefined,
            keptMost: 0,
            shape: undefined,
            shaping: undefined,
          };
    // What was read in another life of the stream may be there no more.
    if (known.streamLife !== streamLife) known.shape = undefined;
    known.streamLife = streamLife;
    known.lastAt = Math.max(known.lastAt, takenAt);
    noteMark(known, seq, stamp);
    this.#used(room, known);
    return { known, seq, head: headOf(seq, stamp) };
  }

  #used(room: RoomRef, known: Known): Known {
    known.keptMost = Math.max(known.keptMost, room.keep.messages);
    this.#rooms.delete(room.name);
    this.#rooms.set(room.name, known);
    if (this.#rooms.size > mostRooms) {
      const oldest = [...this.#rooms.keys()].slice(0, 64).find((name) => !this.#isWatched(name));
      if (oldest !== undefined) this.#rooms.delete(oldest);
    }
    return known;
  }

  /** The shape up to `top` at least. One read at a time a room. */
  async #shape(room: RoomRef, { known, seq }: Top): Promise<Shape> {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (known.shape !== undefined && known.shape.top >= seq) return known.shape;
      known.shaping ??= this.#extend(room, known).finally(() => (known.shaping = undefined));
      await known.shaping;
    }
    throw new BackendUnavailable("the room's log ends before where it ended");
  }

  async #extend(room: RoomRef, known: Known): Promise<Shape> {
    const { api, names } = this.#engine;
    const shape = known.shape ?? new Shape(known.life);
    for (const each of await api.shape(names.log, names.logOf(room.name), shape.top + 1)) shape.add(each);
    if (shape.top === 0) throw new BackendUnavailable("the room's log is gone while it is read");
    known.shape = shape;
    return shape;
  }

  /** The room's shape as of now; undefined where it has no log, or another epoch. */
  async #current(room: RoomRef, epoch: string | undefined): Promise<Shape | undefined> {
    const top = await this.#topIfAny(room);
    if (top === undefined || (epoch !== undefined && epoch !== this.#epoch(top))) return undefined;
    return this.#shape(room, top);
  }

  async #pick(
    room: RoomRef,
    epoch: string | undefined,
    choose: (shape: Shape, now: number) => Place[],
    enough = Infinity,
  ): Promise<LogEntry[]> {
    const now = (): number => this.#engine.context.now();
    for (let attempt = 0; attempt < 3; attempt++) {
      const places = this.#fromKnown(room, epoch, (shape) => choose(shape, now()), enough);
      const shape = places === undefined ? await this.#current(room, epoch) : undefined;
      if (places === undefined && shape === undefined) return [];
      const entries = await this.#fetch(places ?? (shape === undefined ? [] : choose(shape, now())));
      if (entries !== undefined) return entries;
      // Purged by another node, which keeps less: the log is read anew.
      const known = this.#rooms.get(room.name);
      if (known !== undefined) known.shape = undefined;
    }
    throw new BackendUnavailable("the room's log is trimmed faster than it can be read");
  }

  /** A full page needs no look at where the log ends now. */
  #fromKnown(
    room: RoomRef,
    epoch: string | undefined,
    choose: (shape: Shape) => Place[],
    enough: number,
  ): Place[] | undefined {
    const known = this.#rooms.get(room.name);
    const streamLife = this.#engine.life.current.name;
    if (known?.shape === undefined || known.streamLife !== streamLife || epoch !== epochOf(streamLife, known.life)) {
      return undefined;
    }
    const places = choose(known.shape);
    return places.length >= enough ? places : undefined;
  }

  /** undefined: one of them is there no more. */
  async #fetch(places: readonly Place[]): Promise<LogEntry[] | undefined> {
    const entries: LogEntry[] = [];
    for (let from = 0; from < places.length; from += mostRequests) {
      const part = await Promise.all(places.slice(from, from + mostRequests).map((place) => this.#entry(place)));
      for (const entry of part) {
        if (entry === undefined) return undefined;
        entries.push(entry);
      }
    }
    return entries;
  }

  async #entry({ offset, prev }: Place): Promise<LogEntry | undefined> {
    const { api, names } = this.#engine;
    const stored = (await api.direct(names.log, offset)) ?? (await api.bySequence(names.log, offset));
    if (stored?.stamp === undefined) return undefined;
    return toEntry(offset, prev, stored.stamp.at, decodePayload(stored.text));
  }
}

function noteMark(known: Known, seq: number, { kind, head }: Stamp): void {
  if (kind === "mark" && seq > (known.mark?.seq ?? 0)) known.mark = { seq, head };
}

/** The newest message's offset, by what the newest of the subject says. */
function headOf(seq: number, { kind, head }: Stamp): number {
  return kind === "mark" ? head : seq;
}
