import type { Json } from "../../protocol/json.ts";
import type { Clock } from "../clock.ts";
import type { Logger } from "../options.ts";
import { Asks, type Answers } from "./asks.ts";
import type { Bus } from "./bus.ts";
import { inParts, type NodeMessage } from "./messages.ts";
import { Orders, type Again } from "./orders.ts";

/** Under this number no answer is waited for. */
const unawaited = 0;
/** Orders that are said again, and how many of them are done in one turn. */
const again = "again";
const againATurn = 20;

/**
 * What a call from another node is answered with. `givenAt`, monotonic: the call is an order that was given then and is
 * said again; what began since is none of its business. Infinity: it is given now.
 */
export type CallHandler = (given: Json, givenAt: number) => readonly Json[] | Promise<readonly Json[]>;

export interface CallsContext {
  readonly node: string;
  readonly bus: Bus;
  /** The other nodes that live. */
  readonly others: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What nodes ask of each other, and order. */
export class Calls {
  readonly #context: CallsContext;
  readonly #asks: Asks;
  readonly #orders: Orders;
  readonly #handlers: Map<string, CallHandler> = new Map();

  constructor(context: CallsContext) {
    this.#context = context;
    this.#asks = new Asks(context.clock);
    this.#orders = new Orders(context.clock, (node, orders) => this.askOne(node, again, orders as unknown as Json));
    this.answer(again, (orders) => this.#doAgain(orders as unknown as readonly Again[]));
  }

  /** What this node answers when another one asks. */
  answer(call: string, handler: CallHandler): void {
    this.#handlers.set(call, handler);
  }

  /** Asks all nodes that live. Rejects with `BackendUnavailable` where they cannot be asked. */
  ask(call: string, given: Json): Promise<Answers> {
    return this.#asks.ask(this.#context.others(), (id) =>
      this.#context.bus.toAll({ type: "ask", from: this.#context.node, id, call, with: given }),
    );
  }

  /**
   * As `ask`, of what has to be done: it is said even where no other node lives, because one that was given up may only
   * stand still, and does it when it runs again. With `kept`, this is said again for some minutes to every node that may
   * have missed it, also where this rejects.
   */
  async order(call: string, given: Json, kept?: Json): Promise<Answers> {
    const doneBy = kept === undefined ? undefined : this.#orders.keep(call, kept);
    if (this.#context.others().length === 0) {
      await this.#context.bus.toAll({ type: "ask", from: this.#context.node, id: unawaited, call, with: given });
      return { answers: new Map(), silent: [] };
    }
    let answers: Answers["answers"] = new Map();
    try {
      const asked = await this.ask(call, given);
      ({ answers } = asked);
      return asked;
    } finally {
      for (const node of answers.keys()) doneBy?.add(node);
      for (const node of this.#context.others()) if (!answers.has(node)) this.#orders.missed(node);
    }
  }

  /** Asks one node. */
  askOne(node: string, call: string, given: Json): Promise<Answers> {
    return this.#asks.ask([node], (id) => {
      this.#context.bus.toNode(node, { type: "ask", from: this.#context.node, id, call, with: given });
      return Promise.resolve();
    });
  }

  /** Another node has asked. */
  async reply({ from, id, call, with: given }: Extract<NodeMessage, { type: "ask" }>): Promise<void> {
    let items: readonly Json[] = [];
    try {
      items = (await this.#handlers.get(call)?.(given, Infinity)) ?? [];
    } catch (error) {
      this.#context.logger.error({ call, err: error }, "what another node asked for failed");
    }
    const parts = inParts(items);
    for (const [part, some] of parts.entries()) {
      this.#context.bus.toNode(from, {
        type: "answer",
        from: this.#context.node,
        id,
        part,
        parts: parts.length,
        items: some,
      });
    }
  }

  answered(message: Extract<NodeMessage, { type: "answer" }>): void {
    this.#asks.answered(message);
  }

  /** A node has spoken; `isNew`: it may have missed what was ordered before. */
  heard(node: string, isNew: boolean): void {
    if (isNew) this.#orders.missed(node);
    this.#orders.heard(node);
  }

  /** The node is gone, or goes. */
  dead(node: string): void {
    this.#asks.dead(node);
    this.#orders.dead(node);
  }

  close(): void {
    this.#asks.close();
  }

  async #doAgain(orders: readonly Again[]): Promise<readonly Json[]> {
    const now = this.#context.clock.monotonic();
    for (const [index, { call, with: given, ageMs }] of orders.entries()) {
      if (index % againATurn === againATurn - 1) await new Promise((resolve) => setImmediate(resolve));
      await this.#handlers.get(call)?.(given, now - ageMs);
    }
    return [];
  }
}
