import type { RoomRef } from "../backend.ts";
import type { FeedState, Position } from "../feed/engine.ts";
import type { Engine } from "./engine.ts";
import type { Known, KnownRooms } from "./known-rooms.ts";
import { epochOf } from "./names.ts";
import type { Pages } from "./pages.ts";
import type { Shape } from "./shape.ts";
import { epochAt, isBehind, type Top, type Tops } from "./tops.ts";

interface Parts {
  readonly engine: Engine;
  readonly rooms: KnownRooms;
  readonly tops: Tops;
  readonly pages: Pages;
}

/** The logs of rooms as they stand, and what became of those that this node followed. */
export class Logs {
  readonly #engine: Engine;
  readonly #rooms: KnownRooms;
  readonly #tops: Tops;
  readonly #pages: Pages;

  constructor({ engine, rooms, tops, pages }: Parts) {
    this.#engine = engine;
    this.#rooms = rooms;
    this.#tops = tops;
    this.#pages = pages;
  }

  /** The life of the room, for what is appended now; a room that has none begins one. With that of the stream it is of. */
  async lifeOf(room: RoomRef): Promise<Pick<Known, "life" | "streamLife">> {
    const known = this.#rooms.get(room.name);
    const isFresh = known !== undefined && this.#engine.clock.now() < known.lastAt + this.#tops.lifetimeMs(room) / 2;
    if (!isFresh || known.streamLife !== this.#engine.life.current.name) return (await this.#tops.of(room)).known;
    this.#rooms.use(room, known);
    return known;
  }

  /** As `lifeOf`, of a room that has one. */
  async lifeIfAny(room: RoomRef): Promise<string | undefined> {
    const known = this.#rooms.get(room.name);
    if (known?.streamLife === this.#engine.life.current.name) return known.life;
    return (await this.#tops.ifAny(room))?.known.life;
  }

  /** The newest offset and epoch, marked as still in use where that is due. */
  async head(room: RoomRef): Promise<Position> {
    const top = await this.#tops.of(room);
    return { epoch: epochAt(top), offset: top.head };
  }

  /** `known` as in `FeedEngine`. Without `isExact`, `trimmed` may be too low. */
  async state(room: RoomRef, known?: Position, isExact = true): Promise<FeedState> {
    let top = await this.#tops.of(room);
    if (known !== undefined && isBehind(top, known)) top = await this.#lookAgain(room, known);
    const epoch = epochAt(top);
    const shape = isExact && top.head > 0 ? await this.#pages.shape(room, top) : undefined;
    const trimmed = shape?.trimmed(room.keep, this.#engine.context.now()) ?? 0;
    const since = known === undefined || known.epoch === epoch ? undefined : sinceOf(top, known, shape);
    return { epoch, head: top.head, trimmed, ...(since !== undefined && { since }) };
  }

  /** Gives a log that has less than was seen of it another epoch. */
  async #lookAgain(room: RoomRef, known: Position): Promise<Top> {
    const { life } = this.#engine;
    await life.verify();
    const top = await this.#tops.settled(room, known);
    if (!isBehind(top, known)) return top;
    // The stream is whole, but in this room messages were deleted. So the others go on where they are.
    const lastSeq = await life.verify();
    if (life.current.name === top.life.name) await life.wentBackTo(lastSeq);
    return this.#tops.of(room);
  }
}

/**
 * Where a log goes on for those who followed another life of the stream. The fork is a sequence of the stream, and mostly
 * some other room's message: what counts is this room's newest offset up to there, as the next message's `prev` tells.
 */
function sinceOf(
  { known: { life }, life: { parent, fork } }: Top,
  seen: Position,
  shape?: Shape,
): Position | undefined {
  if (parent === undefined || fork === undefined) return undefined;
  const epoch = epochOf(parent, life);
  const upTo = (offset: number): number => shape?.upTo(offset) ?? 0;
  // Whoever found the fork may have known less of the stream than this node: then what was seen here may be gone although
  // it is not over the fork. Otherwise all up to the fork, since what is pushed meanwhile may be seen already.
  const isIntact = seen.epoch !== epoch || seen.offset > fork || upTo(seen.offset) === seen.offset;
  return { epoch, offset: upTo(isIntact ? fork : seen.offset) };
}
