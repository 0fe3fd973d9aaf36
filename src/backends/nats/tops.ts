import { BackendUnavailable, type RoomRef } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { Position } from "../feed/engine.ts";
import type { Stored } from "./api.ts";
import type { Engine } from "./engine.ts";
import type { Known, KnownRooms } from "./known-rooms.ts";
import type { StreamLife } from "./life.ts";
import { epochOf } from "./names.ts";
import { type Stamp, stampHeaders } from "./record.ts";

/** How long a room that nobody uses outlives its last message and key; nodes that listen mark it before. */
const lingerMs = 30 * 60_000;
/** A leader that is new may not have all yet. */
const doubtMs = [100, 300, 600];

/** Where a room's log ends. */
export interface Top {
  readonly known: Known;
  /** Of the newest message or mark. */
  readonly seq: number;
  /** The newest offset. */
  readonly head: number;
  /** Of the stream, before it was asked: what was read while that changed is not taken for a part of the next. */
  readonly life: StreamLife;
}

interface Newest {
  readonly stored: Stored | undefined;
  readonly life: StreamLife;
}

interface NewMark {
  readonly roomLife: string;
  readonly life: StreamLife;
  readonly head: number;
  /** The sequence that it must follow. */
  readonly last: number;
  readonly attempt: number;
}

/** Finds where rooms' logs end, and marks what is begun or must not be forgotten. */
export class Tops {
  readonly #engine: Engine;
  readonly #rooms: KnownRooms;
  #dedupeMs = 300_000;

  constructor(engine: Engine, rooms: KnownRooms) {
    this.#engine = engine;
    this.#rooms = rooms;
  }

  /** Keys outlive their message: a room lives at least as long. */
  useDedupe(ms: number): void {
    this.#dedupeMs = Math.max(this.#dedupeMs, ms);
  }

  /** How long the stream must hold a room's messages. */
  lifetimeMs({ keep }: RoomRef): number {
    return Math.max(keep.ms, this.#dedupeMs) + lingerMs;
  }

  /** Begins a life where there is none, or where nobody came for so long that it is forgotten. */
  async of(room: RoomRef): Promise<Top> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const { stored, life } = await this.#newest(room.name);
      const age = stored?.stamp === undefined ? Infinity : this.#ageOf(stored);
      const lifetimeMs = this.lifetimeMs(room);
      const isForgotten = age > lifetimeMs && (age === Infinity || !this.#rooms.isWatched(room.name));
      if (stored?.stamp === undefined || isForgotten) {
        const last = stored?.seq ?? 0;
        const born = await this.#mark(room, { roomLife: newEpoch(), life, head: 0, last, attempt });
        if (born !== undefined && stored !== undefined) this.#purgeBefore(room, born.seq);
        if (born !== undefined) return born;
      } else {
        const { seq, stamp } = stored;
        if (age <= lifetimeMs / 2) return this.#learned(room, stored, stamp, life);
        const head = headOf(seq, stamp);
        const marked = await this.#mark(room, { roomLife: stamp.life, life, head, last: seq, attempt });
        if (marked !== undefined) return marked;
      }
    }
    throw new BackendUnavailable("the room's log changes faster than it can be marked");
  }

  async ifAny(room: RoomRef): Promise<Top | undefined> {
    const { stored, life } = await this.#newest(room.name);
    if (stored?.stamp === undefined) return undefined;
    const isOver = this.#ageOf(stored) > this.lifetimeMs(room);
    if (isOver && !this.#rooms.isWatched(room.name)) return undefined;
    return this.#learned(room, stored, stored.stamp, life);
  }

  /** As `of`, where this node has seen more of the log than is there: believed when it stays so. */
  async settled(room: RoomRef, known: Position): Promise<Top> {
    let top = await this.of(room);
    for (const ms of doubtMs) {
      if (!isBehind(top, known)) return top;
      await new Promise((resolve) => setTimeout(resolve, ms));
      top = await this.of(room);
    }
    return top;
  }

  async #newest(room: string): Promise<Newest> {
    const { api, names, life } = this.#engine;
    for (let attempt = 0; attempt < 5; attempt++) {
      const { current } = life;
      const stored = await api.last(names.log, names.logOf(room));
      // Another node may have found that the stream went back: then this is no part of the life that was known here.
      if (stored?.stamp !== undefined) await life.heardOf(stored.stamp.streamLife);
      if (life.current.name !== current.name) continue;
      if (stored !== undefined) life.saw(stored.seq, stored.id, current.name);
      return { stored, life: current };
    }
    throw new BackendUnavailable("the stream changes while it is looked at");
  }

  /** By the engine's clock alone: the message's own date is of a node that may be wrong by hours. */
  #ageOf({ time }: Stored): number {
    return this.#engine.clock.now() - Date.parse(time);
  }

  #learned(room: RoomRef, { seq, time }: Pick<Stored, "seq" | "time">, stamp: Stamp, life: StreamLife): Top {
    const known = this.#rooms.learn(room, { seq, stamp, takenAt: Date.parse(time), streamLife: life.name });
    return { known, seq, head: headOf(seq, stamp), life };
  }

  /** undefined: another message was there first. */
  async #mark(room: RoomRef, { roomLife, life, head, last, attempt }: NewMark): Promise<Top | undefined> {
    const { api, names, streams, clock, context } = this.#engine;
    await streams.hold({ logMs: this.lifetimeMs(room) });
    // What was read may be of another stream than the one that has these names now.
    if (this.#engine.life.current.name !== life.name) return undefined;
    const stamp: Stamp = { kind: "mark", life: roomLife, streamLife: life.name, at: context.now(), head };
    const subject = names.logOf(room.name);
    // Two births are one; where all was purged by hand since the last one, the second try's id is another.
    const id = `${subject}.${last}.${Math.floor(attempt / 3)}`;
    const ack = await api.publishAfter(last, subject, "", stampHeaders(stamp, id));
    if (ack.kind === "lost") return undefined;
    // A cluster may let a message in between.
    const between = head === 0 ? [] : await api.shape(names.log, subject, last + 1);
    const newest = between.findLast((each) => each.seq < ack.seq && each.stamp?.kind === "entry");
    if (newest !== undefined) return this.#mark(room, { roomLife, life, head: newest.seq, last: ack.seq, attempt });
    return this.#learned(room, { seq: ack.seq, time: new Date(clock.now()).toISOString() }, stamp, life);
  }

  #purgeBefore(room: RoomRef, seq: number): void {
    const { api, names } = this.#engine;
    api.purge(names.log, names.logOf(room.name), { seq }).catch(() => undefined);
  }
}

export function epochAt({ life, known }: Top): string {
  return epochOf(life.name, known.life);
}

/** Whether the log has less than was seen of it, in the same epoch. */
export function isBehind(top: Top, seen: Position): boolean {
  return seen.epoch === epochAt(top) && top.head < seen.offset;
}

/** The newest message's offset, by what the newest of the subject says. */
function headOf(seq: number, { kind, head }: Stamp): number {
  return kind === "mark" ? head : seq;
}
