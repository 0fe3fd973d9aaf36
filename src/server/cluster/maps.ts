import type { SharedMap } from "./shared-map.ts";

/** Maps that are seen to in one tick: ten thousand rooms are whole within seconds, and no turn takes long. */
const mapsATick = 5_000;
/** Of the maps that changed since the last beat, and of all in turn, so many say again where they are. */
const notesABeat = 200;
const roundsABeat = 20;

/** The maps that this node keeps with the others, and what is regularly done about them. */
export class Maps {
  readonly #maps: Map<string, SharedMap> = new Map();
  readonly #unsettled: Set<SharedMap> = new Set();
  #round: Iterator<SharedMap> | undefined;

  all(): Iterable<SharedMap> {
    return this.#maps.values();
  }

  named(): Iterable<readonly [name: string, map: SharedMap]> {
    return this.#maps;
  }

  get(name: string): SharedMap | undefined {
    return this.#maps.get(name);
  }

  add(name: string, map: SharedMap): void {
    this.#maps.set(name, map);
  }

  /** Another one may have its name by now. */
  delete(name: string, map: SharedMap): void {
    if (this.#maps.get(name) === map) this.#maps.delete(name);
    this.#unsettled.delete(map);
  }

  /** The map has something left to do. */
  unsettled(map: SharedMap): void {
    this.#unsettled.add(map);
  }

  /** With each tick: does what is left to do. */
  settle(): void {
    for (const map of [...this.#unsettled].slice(0, mapsATick)) {
      this.#unsettled.delete(map);
      if (map.settle()) this.#unsettled.add(map);
    }
  }

  /** With each beat: of the maps that changed since the last, and of some others in turn, the others are told where they are. */
  note(): void {
    let notes = notesABeat;
    for (const map of this.#maps.values()) {
      if (!map.changedSinceNoted) continue;
      map.note();
      if (--notes === 0) break;
    }
    for (let i = 0; i < Math.min(roundsABeat, this.#maps.size); i++) {
      this.#round ??= this.#maps.values();
      const next = this.#round.next();
      if (next.done === true) this.#round = undefined;
      else next.value.note();
    }
  }
}
