import type { Json } from "../../protocol/json.ts";
import type { Clock } from "../clock.ts";
import type { Answers } from "./asks.ts";
import { inParts } from "./messages.ts";

/** How long an order is kept for nodes that did not hear it. */
const keptMs = 5 * 60_000;
/** Orders that are kept; with one more the oldest is forgotten, whoever has not heard it. */
const maxKept = 1_000;

interface Order {
  readonly call: string;
  readonly given: Json;
  /** Monotonic. */
  readonly at: number;
  /** The nodes that have done it. */
  readonly doneBy: Set<string>;
}

/** An order as it is said again. */
export interface Again {
  readonly call: string;
  readonly with: Json;
  /** How long ago it was given: what is younger is none of its business. */
  readonly ageMs: number;
}

/** Says orders again to one node. Rejects where it cannot be asked now. */
export type SayAgain = (node: string, orders: readonly Again[]) => Promise<Answers>;

/**
 * The orders that this node gave of late, for nodes that may have missed some: cut off, stopped, given up. Each is said
 * again to such a node when it is heard, until it answers. Kept in memory alone: with this node they are gone.
 */
export class Orders {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #say: SayAgain;
  readonly #kept: Set<Order> = new Set();
  /** Nodes that may have missed an order. */
  readonly #owed: Set<string> = new Set();
  readonly #telling: Set<string> = new Set();

  constructor(clock: Pick<Clock, "monotonic">, say: SayAgain) {
    this.#clock = clock;
    this.#say = say;
  }

  /** Keeps an order that is about to be given; the set takes the nodes that have done it. */
  keep(call: string, given: Json): Set<string> {
    const order: Order = { call, given, at: this.#clock.monotonic(), doneBy: new Set() };
    this.#kept.add(order);
    this.#forgetOld();
    return order.doneBy;
  }

  /** The node may have missed something; it is told when it is heard. */
  missed(node: string): void {
    this.#owed.add(node);
  }

  heard(node: string): void {
    if (this.#owed.has(node) && !this.#telling.has(node)) void this.#tell(node);
  }

  /** The node was given up: where it comes back it has missed something anew. */
  dead(node: string): void {
    this.#owed.delete(node);
  }

  async #tell(node: string): Promise<void> {
    this.#owed.delete(node);
    this.#forgetOld();
    const orders = [...this.#kept].filter(({ doneBy }) => !doneBy.has(node));
    if (orders.length === 0) return;
    this.#telling.add(node);
    try {
      for (const part of inParts(orders.map(({ call, given }) => ({ call, with: given })))) {
        const said = orders.splice(0, part.length);
        const now = this.#clock.monotonic();
        const { answers } = await this.#say(
          node,
          said.map(({ call, given, at }) => ({ call, with: given, ageMs: now - at })),
        );
        if (!answers.has(node)) {
          this.#owed.add(node);
          return;
        }
        for (const { doneBy } of said) doneBy.add(node);
      }
    } catch {
      this.#owed.add(node);
    } finally {
      this.#telling.delete(node);
    }
  }

  #forgetOld(): void {
    const since = this.#clock.monotonic() - keptMs;
    for (const order of this.#kept) {
      if (order.at >= since && this.#kept.size <= maxKept) break;
      this.#kept.delete(order);
    }
  }
}
