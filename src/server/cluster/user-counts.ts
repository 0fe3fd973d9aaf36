import { createHash } from "node:crypto";
import type { Json } from "../../protocol/json.ts";
import type { Cluster } from "./cluster.ts";
import type { MapOwner } from "./map-owner.ts";
import type { SharedMap } from "./shared-map.ts";

/** A node tells of a user who has this share of the limit there: most users never come near it. */
const toldShare = 1 / 16;
/** Of a hash: users' names are not for every node to keep. */
const keyCharacters = 12;

/**
 * How many connections users have on other nodes, for the limit that counts them all. A node tells the others of users who
 * have a sixteenth of the limit there, so that below that nothing is sent or kept: a user can have so many more on each
 * node. What connects elsewhere at the same moment is not seen yet.
 */
export class UserCounts implements MapOwner {
  readonly #least: number;
  readonly #map: SharedMap;
  readonly #told: Map<string, number> = new Map();
  readonly #elsewhere: Map<string, Map<string, number>> = new Map();

  constructor(cluster: Cluster, limit: number) {
    this.#least = Math.max(1, Math.floor(limit * toldShare));
    this.#map = cluster.open("", this);
  }

  entries(): Iterable<readonly [string, Json]> {
    return this.#told;
  }

  set(key: string, value: Json, _isNew: boolean, node: string): void {
    const counts = this.#elsewhere.get(key);
    if (counts === undefined) this.#elsewhere.set(key, new Map([[node, Number(value)]]));
    else counts.set(node, Number(value));
  }

  removed(key: string, node: string): void {
    const counts = this.#elsewhere.get(key);
    if (counts?.delete(node) === true && counts.size === 0) this.#elsewhere.delete(key);
  }

  endedForGood(): void {}

  together(_repaired: boolean, apply: () => void): void {
    apply();
  }

  /** A user has so many connections here. */
  counted(user: string, count: number): void {
    // What is below the share was not told, but where it has just come down from it.
    if (count < this.#least - 1) return;
    const key = keyOf(user);
    if (count >= this.#least) {
      this.#told.set(key, count);
      this.#map.set(key, count);
    } else if (this.#told.delete(key)) this.#map.remove(key, false);
  }

  /** How many the user has on other nodes. */
  elsewhere(user: string): number {
    if (this.#elsewhere.size === 0) return 0;
    let count = 0;
    for (const there of this.#elsewhere.get(keyOf(user))?.values() ?? []) count += there;
    return count;
  }
}

function keyOf(user: string): string {
  return createHash("sha256").update(user).digest("base64url").slice(0, keyCharacters);
}
