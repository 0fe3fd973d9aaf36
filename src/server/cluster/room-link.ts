import type { Subscription } from "../../backends/backend.ts";
import type { Json } from "../../protocol/json.ts";
import type { Presence, PresenceLink, Stand } from "../presence.ts";
import type { Cluster } from "./cluster.ts";
import { readMessage, type MapMessage } from "./messages.ts";
import type { MapOwner } from "./map-owner.ts";
import type { SharedMap } from "./shared-map.ts";

/** A room that is open on this node, as its link to the other nodes sees it. */
export interface LinkedRoom {
  readonly name: string;
  readonly presence: Presence;
  /** Passes a text to all nodes that are in the room. Rejects where it could not be sent on. */
  readonly toNodes: (text: string) => Promise<void>;
}

/** Keeps a room's presence one with that of the other nodes that are in the room. */
export class RoomLink implements MapOwner, PresenceLink {
  readonly #cluster: Cluster;
  readonly #name: string;
  readonly #presence: Presence;
  readonly #map: SharedMap;

  constructor(cluster: Cluster, { name, presence, toNodes }: LinkedRoom) {
    this.#cluster = cluster;
    this.#name = name;
    this.#presence = presence;
    this.#map = cluster.open(name, this, (message) => toNodes(JSON.stringify(message)));
    presence.link = this;
  }

  /** Resolves when the room knows who is in it on other nodes, a second later at most. */
  async open(subscription: Subscription): Promise<void> {
    try {
      await this.#map.open(() => subscription.others());
    } catch {
      // They cannot be asked now; they are as soon as they can be.
      this.#map.interrupted();
    }
  }

  received(text: string): void {
    // On a room's own channel nodes speak of nothing else.
    const message = readMessage(text) as MapMessage | undefined;
    if (message !== undefined) this.#cluster.received(this.#name, message);
  }

  interrupted(): void {
    this.#map.interrupted();
  }

  /** Gives what has to hear the other nodes as long as they count this one among those that are in the room. */
  close(): (text: string) => void {
    const peers = this.#map.peers;
    this.#presence.link = undefined;
    this.#cluster.close(this.#name, this.#map);
    return lingering(this.#cluster, this.#name, new Set(peers));
  }

  nextVersion(): number {
    return this.#cluster.nextVersion();
  }

  here(user: string, { data, version }: Stand): void {
    this.#map.set(user, [data, version]);
  }

  gone(user: string, forGood: boolean): void {
    this.#map.remove(user, forGood);
  }

  *entries(): Generator<readonly [string, Json]> {
    for (const [user, { data, version }] of this.#presence.standing()) yield [user, [data, version]];
  }

  standing(user: string): Json | undefined {
    const stand = this.#presence.stand(user);
    return stand === undefined ? undefined : [stand.data, stand.version];
  }

  set(user: string, value: Json, isNew: boolean): void {
    const [data, version] = value as [Json, number];
    this.#cluster.seen(version);
    this.#presence.arrived(user, { data, version }, isNew);
  }

  removed(user: string): void {
    this.#presence.departed(user);
  }

  endedForGood(user: string): void {
    this.#presence.endGrace(user);
  }

  together(repaired: boolean, apply: () => void): void {
    this.#presence.together(repaired, apply);
  }
}

/**
 * Answers for a room that this node has left: it has nothing, and knows who had something when it left or has spoken
 * since. Otherwise whoever comes first on another node waits for an answer in vain. Bounded by the number of nodes.
 */
function lingering(cluster: Cluster, name: string, peers: Set<string>): (text: string) => void {
  return (text) => {
    const message = readMessage(text) as MapMessage | undefined;
    if (message === undefined) return;
    cluster.received(name, message, peers);
    peers.add(message.from);
  };
}
