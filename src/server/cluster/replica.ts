import type { Change, MapMessage, Place } from "./messages.ts";

/** Changes that came too early, kept until what lies before them is there; beyond it they are asked for again. */
const maxHeld = 100;

type Changes = Extract<MapMessage, { type: "changes" }>;
type State = Extract<MapMessage, { type: "state" }>;

/** What has to be done to a replica's entries. */
export interface Applied {
  readonly changes: readonly Change[];
  /** It was read from a whole state, so some of it may have come late. */
  readonly repaired: boolean;
}

/**
 * What another node has in one map, as far as it is known here. That node alone may change it, and numbers its changes: one
 * that does not follow the last is held, and the whole state is asked for. A value: who owns it does what it says.
 */
export class Replica {
  /** Of the last change that is in it; life 0: nothing is known yet. */
  place: Place = [0, 0];
  /** The node owes its state. */
  isBehind = true;
  /** When it was last asked, monotonic. */
  askedAt: number = -Infinity;
  /** The node went away, and its users may come back elsewhere: only time or their goodbye ends its entries. */
  isHeld = false;
  /** The node that told of it, where this one did not hear its goodbye. */
  toldBy: string | undefined;
  readonly entries: Set<string> = new Set();
  #held: Changes[] = [];
  #parts: Change[] = [];
  #nextPart = 0;

  changed(message: Changes): Applied | undefined {
    const [life, number] = message.place;
    if (!isAfter(message.place, this.place)) return undefined;
    // The first of a life, whose map was empty before.
    if (number === 1) {
      const changes = [...this.#goneBut(new Set()), ...message.changes];
      return this.#take(changes, message.place, false);
    }
    if (life === this.place[0] && number === this.place[1] + 1) {
      return this.#take([...message.changes], message.place, false);
    }
    if (this.#held.length >= maxHeld) this.#held.length = 0;
    this.#held.push(message);
    this.isBehind = true;
    return undefined;
  }

  /** The node says where it is. */
  noted(place: Place): Applied | undefined {
    if (!isAfter(place, this.place)) return undefined;
    if (place[1] === 0) return this.#take(this.#goneBut(new Set()), place, false);
    this.isBehind = true;
    return undefined;
  }

  /** A part of the node's state; what has to be done comes with the last one. */
  stated({ place, part, parts, changes }: State): Applied | undefined {
    if (parts === 0) {
      this.isBehind = false;
      return undefined;
    }
    if (part === 0) {
      this.#parts = [];
      this.#nextPart = 0;
    }
    if (part !== this.#nextPart++) return undefined;
    for (const change of changes) this.#parts.push(change);
    if (part < parts - 1) return undefined;
    const all = this.#parts;
    this.#parts = [];
    this.#nextPart = 0;
    this.isBehind = false;
    // Changes that came meanwhile are newer.
    if (!isAfter(place, this.place)) return undefined;
    return this.#take([...this.#goneBut(new Set(all.map(({ key }) => key))), ...all], place, true);
  }

  #goneBut(staying: ReadonlySet<string>): Change[] {
    return Array.from(this.entries)
      .filter((key) => !staying.has(key))
      .map((key) => ({ key }));
  }

  #take(changes: Change[], place: Place, repaired: boolean): Applied {
    this.place = place;
    if (!repaired && this.#held.length === 0) this.isBehind = false;
    for (const held of this.#held.splice(0)) {
      if (!isAfter(held.place, this.place)) continue;
      if (held.place[0] === this.place[0] && held.place[1] === this.place[1] + 1) {
        changes.push(...held.changes);
        this.place = held.place;
      } else {
        this.#held.push(held);
        this.isBehind = true;
      }
    }
    return { changes, repaired };
  }
}

function isAfter(a: Place, b: Place): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}
