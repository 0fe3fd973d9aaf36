import type { Bus } from "./bus.ts";
import type { Maps } from "./maps.ts";
import { inParts, type Change, type LeftRoom, type NodeMessage } from "./messages.ts";

/** Of one node; what is beyond is forgotten, and its users arrive anew as they come back. */
const maxRooms = 100_000;

export interface LeftRoomsContext {
  readonly node: string;
  readonly bus: Bus;
  readonly maps: Maps;
  /** How long what a node left that has gone away still counts. */
  readonly holdMs: (node: string) => number;
  /** Another node says so. Whether it counts here. */
  readonly inherited: (node: string, holdMs: number) => boolean;
}

interface Left {
  /** Who told of it: what it says of the room further on belongs to it. */
  readonly toldBy: string;
  readonly users: Change[];
}

/**
 * What nodes that went away left in rooms that no other node was in, for whoever opens one of them in time. Every node
 * keeps it, so that one does not depend on where its users come back first.
 */
export class LeftRooms {
  readonly #context: LeftRoomsContext;
  /** By nodes, then by rooms. */
  readonly #left: Map<string, Map<string, Left>> = new Map();

  constructor(context: LeftRoomsContext) {
    this.#context = context;
  }

  /** This node goes away: all others are told what it has that nobody else knows of. */
  leave(holdMs: number): void {
    const left = new Map<string, LeftRoom[]>();
    for (const [room, map] of this.#context.maps.named()) {
      const leaves = [...map.leaves()];
      // To whom would one who is alone be missing?
      if (leaves.flatMap(([, users]) => users).length < 2) continue;
      for (const [node, users] of leaves) {
        const rooms = left.get(node) ?? [];
        left.set(node, rooms);
        for (const part of inParts(users)) rooms.push([room, part]);
      }
    }
    const { node: own, bus } = this.#context;
    for (const [node, rooms] of left) {
      const ms = node === own ? holdMs : this.#context.holdMs(node);
      for (const message of this.#messages(node, ms, rooms)) bus.toAll(message).catch(() => undefined);
    }
  }

  /** A node is new: it cannot have heard of them. */
  tell(to: string): void {
    for (const [node, left] of this.#left) {
      const rooms = [...left].flatMap(([room, { users }]) => inParts(users).map((part) => [room, part] as const));
      for (const message of this.#messages(node, this.#context.holdMs(node), rooms))
        this.#context.bus.toNode(to, message);
    }
  }

  /** Another node tells of them; the first word on a room counts. */
  told({ from, node, holdMs, rooms }: Extract<NodeMessage, { type: "left-rooms" }>): void {
    if (!this.#context.inherited(node, holdMs)) return;
    const left = this.#left.get(node) ?? new Map<string, Left>();
    this.#left.set(node, left);
    for (const [room, changes] of rooms) {
      const map = this.#context.maps.get(room);
      const known = left.get(room);
      if (map !== undefined) map.receive({ type: "left", from, node, holdMs, changes });
      else if (known?.toldBy === from) known.users.push(...changes);
      else if (known === undefined && left.size < maxRooms) left.set(room, { toldBy: from, users: [...changes] });
    }
  }

  /** The room opens here: what each node left in it. The others need not keep it any more. */
  take(room: string): (readonly [node: string, users: readonly Change[]])[] {
    const left = this.taken(room);
    const { bus, node } = this.#context;
    if (left.length > 0) bus.toAll({ type: "took", from: node, room }).catch(() => undefined);
    return left;
  }

  /** The room has opened elsewhere, and is not for this node to open any more. */
  taken(room: string): (readonly [node: string, users: readonly Change[]])[] {
    return [...this.#left].flatMap(([node, rooms]) => {
      const left = rooms.get(room);
      return left !== undefined && rooms.delete(room) ? [[node, left.users] as const] : [];
    });
  }

  /** The time is over in which the node's users may come back. */
  drop(node: string): void {
    this.#left.delete(node);
  }

  #messages(node: string, holdMs: number, rooms: Iterable<LeftRoom>): NodeMessage[] {
    const base = { type: "left-rooms", from: this.#context.node, node, holdMs } as const;
    return inParts(rooms).map((part) => ({ ...base, rooms: part }));
  }
}
