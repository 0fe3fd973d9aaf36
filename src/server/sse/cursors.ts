import { createHash } from "node:crypto";
import { parseCursor, type Cursor } from "../../protocol/cursor.ts";

/** P-71: the longest id that is taken, in bytes; those made here are under half of it. */
export const maxIdBytes = 2_048;

/** How an id of this form begins; alone, it names no position. */
const form = "1";
/** Of a hash of a room's name: names would not fit, and any text of an id must do as a part of a URL. */
const keyBytes = 9;
const entryShape = /^([A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{1,32})\.([0-9]{1,16})$/;

interface Place {
  readonly cursor: Cursor;
  readonly text: string;
}

/**
 * A stream's cursor in each of its rooms, and the event id that says so (P-71): `1~<room>.<epoch>.<offset>~…`. An id is
 * opaque to clients. A value; `at` gives another one.
 *
 * A room stands there as 72 bits of a hash. Two names with the same hash could only take each other's cursor, whose epoch
 * is not theirs, and so be told `recovered: false`.
 */
export class Cursors {
  readonly #rooms: readonly string[];
  readonly #keys: readonly string[];
  readonly #places: readonly (Place | undefined)[];
  /** The rooms as one text. */
  readonly #scope: string;
  #id: string | undefined;
  #name: string | undefined;

  private constructor(
    rooms: readonly string[],
    scope: string,
    keys: readonly string[],
    places: readonly (Place | undefined)[],
  ) {
    this.#rooms = rooms;
    this.#scope = scope;
    this.#keys = keys;
    this.#places = places;
  }

  /** Reads what came in for these rooms; `""`: nothing did. Undefined where it is malformed or too long. */
  static read(rooms: readonly string[], id: string): Cursors | undefined {
    const given = id === "" ? new Map<string, Cursor>() : parse(id);
    if (given === undefined) return undefined;
    const keys = rooms.map(keyOf);
    return new Cursors(
      rooms,
      JSON.stringify(rooms),
      keys,
      keys.map((key) => placeOf(key, given.get(key))),
    );
  }

  get id(): string {
    this.#id ??= this.#places.reduce((id, place) => (place === undefined ? id : `${id}~${place.text}`), form);
    return this.#id;
  }

  /** The same for all who are at the same cursors in the same rooms; an id does not tell of rooms without a cursor. */
  get name(): string {
    this.#name ??= `${this.id} ${this.#scope}`;
    return this.#name;
  }

  of(room: string): Cursor | undefined {
    return this.#places[this.#rooms.indexOf(room)]?.cursor;
  }

  /** Undefined: no position is known in the room any more. */
  at(room: string, cursor: Cursor | undefined): Cursors {
    const i = this.#rooms.indexOf(room);
    if (i === -1) return this;
    const places = this.#places.with(i, placeOf(this.#keys[i] ?? "", cursor));
    return new Cursors(this.#rooms, this.#scope, this.#keys, places);
  }
}

function keyOf(room: string): string {
  return createHash("sha256").update(room).digest().subarray(0, keyBytes).toString("base64url");
}

function placeOf(key: string, cursor: Cursor | undefined): Place | undefined {
  return cursor === undefined ? undefined : { cursor, text: `${key}.${cursor.epoch}.${cursor.offset}` };
}

function parse(id: string): Map<string, Cursor> | undefined {
  // In characters; of those that are taken each is a byte.
  if (id.length > maxIdBytes) return undefined;
  const [first, ...entries] = id.split("~");
  if (first !== form) return undefined;
  const found = new Map<string, Cursor>();
  for (const entry of entries) {
    const [, key = "", epoch = "", offset = ""] = entryShape.exec(entry) ?? [];
    const cursor = parseCursor(`${epoch}:${offset}`);
    if (cursor === undefined) return undefined;
    found.set(key, cursor);
  }
  return found;
}
