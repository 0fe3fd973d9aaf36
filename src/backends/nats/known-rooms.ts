import type { RoomRef } from "../backend.ts";
import type { EngineClock } from "./clock.ts";
import type { Stamp } from "./record.ts";
import type { Shape, Shaped } from "./shape.ts";

/** Rooms that nobody here listens to are remembered up to so many; the one that was used longest ago goes first. */
const mostRooms = 5_000;
/** A shape that is longer than what is kept by this factor, and this number, loses its oldest part. */
const slack = 2;
const leastOver = 64;

/** What this node knows of a room's log, in one life of the stream. */
export interface Known {
  readonly life: string;
  /** What was learned in another life of the stream says nothing: the messages may be others by now. */
  readonly streamLife: string;
  /** When the stream took the newest message or mark, by the engine's clock. */
  lastAt: number;
  /** The newest mark, and the offset before it: marks are no messages, and yet another's predecessor in the stream. */
  mark: { readonly seq: number; readonly head: number } | undefined;
  keptMost: number;
  shape: Shape | undefined;
  shaping: Promise<Shape> | undefined;
}

/** The newest message or mark of a room. */
interface Newest {
  readonly seq: number;
  readonly stamp: Stamp;
  readonly takenAt: number;
  readonly streamLife: string;
}

/** A message as the stream sent it on. */
export interface Pushed extends Shaped {
  readonly stamp: Stamp;
  /** The sequence before it in the room. */
  readonly last: number;
}

/** What this node knows of the logs of rooms. */
export class KnownRooms {
  readonly #clock: EngineClock;
  /** Whether this node listens to a room. */
  readonly isWatched: (room: string) => boolean;
  readonly #rooms = new Map<string, Known>();

  constructor(clock: EngineClock, isWatched: (room: string) => boolean) {
    this.#clock = clock;
    this.isWatched = isWatched;
  }

  get(room: string): Known | undefined {
    return this.#rooms.get(room);
  }

  learn(room: RoomRef, { seq, stamp, takenAt, streamLife }: Newest): Known {
    const before = this.#rooms.get(room.name);
    const isSame = before?.life === stamp.life && before.streamLife === streamLife;
    const known: Known = isSame ? before : unread(stamp.life, streamLife);
    known.lastAt = Math.max(known.lastAt, takenAt);
    noteMark(known, seq, stamp);
    this.use(room, known);
    return known;
  }

  use(room: RoomRef, known: Known): void {
    known.keptMost = Math.max(known.keptMost, room.keep.messages);
    this.#rooms.delete(room.name);
    this.#rooms.set(room.name, known);
    if (this.#rooms.size <= mostRooms) return;
    const oldest = [...this.#rooms.keys()].slice(0, 64).find((name) => !this.isWatched(name));
    if (oldest !== undefined) this.#rooms.delete(oldest);
  }

  /** What was sent on live: the room as it is known follows, so that it need not be read. Gives the offset before it. */
  pushed(room: string, { seq, stamp, last }: Pushed): number {
    const known = this.#rooms.get(room);
    if (known?.life !== stamp.life || known.streamLife !== stamp.streamLife) return last;
    known.lastAt = this.#clock.now();
    const prev = last === known.mark?.seq ? known.mark.head : last;
    noteMark(known, seq, stamp);
    const { shape } = known;
    if (shape === undefined || shape.top !== last) return prev;
    shape.add({ seq, stamp });
    if (shape.size > known.keptMost * slack + leastOver) shape.prune(known.keptMost);
    return prev;
  }
}

function unread(life: string, streamLife: string): Known {
  return {
    life,
    streamLife,
    lastAt: -Infinity,
    mark: undefined,
    keptMost: 0,
    shape: undefined,
    shaping: undefined,
  };
}

function noteMark(known: Known, seq: number, { kind, head }: Stamp): void {
  if (kind === "mark" && seq > (known.mark?.seq ?? 0)) known.mark = { seq, head };
}
