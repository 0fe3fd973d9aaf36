import { BackendUnavailable } from "../../backends/backend.ts";
import type { Json } from "../../protocol/json.ts";
import type { Clock } from "../clock.ts";
import type { NodeMessage } from "./messages.ts";

/** How long a call waits for the other nodes; one that has not answered by then is passed over. */
export const answerMs = 2_000;
/** Calls that wait at the same time; one more fails. */
const maxWaiting = 1_000;

/** What the other nodes have answered. */
export interface Answers {
  readonly answers: ReadonlyMap<string, readonly Json[]>;
  /** Nodes that live and were not heard in time. */
  readonly silent: readonly string[];
}

interface Waiting {
  readonly nodes: Set<string>;
  readonly answers: Map<string, Json[]>;
  readonly check: () => void;
}

/** Questions to the other nodes that are under way. */
export class Asks {
  readonly #clock: Clock;
  readonly #waiting: Map<number, Waiting> = new Map();
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when all these nodes have answered, have died, or time is over. Rejects where nobody could be asked. */
  async ask(nodes: readonly string[], send: (id: number) => Promise<void>): Promise<Answers> {
    if (nodes.length === 0) return { answers: new Map(), silent: [] };
    if (this.#waiting.size >= maxWaiting) throw new BackendUnavailable("too many questions to other nodes wait");
    const id = ++this.#lastId;
    const { waiting, done } = this.#wait(id, nodes);
    try {
      await send(id);
    } catch (error) {
      this.#waiting.delete(id);
      waiting.nodes.clear();
      waiting.check();
      throw error;
    }
    await done;
    return { answers: waiting.answers, silent: [...waiting.nodes] };
  }

  answered({ from, id, part, parts, items }: Extract<NodeMessage, { type: "answer" }>): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined || !waiting.nodes.has(from)) return;
    const known = waiting.answers.get(from) ?? [];
    for (const item of items) known.push(item);
    waiting.answers.set(from, known);
    if (part < parts - 1) return;
    waiting.nodes.delete(from);
    waiting.check();
  }

  /** The node will not answer any more. */
  dead(node: string): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.nodes.delete(node)) waiting.check();
    }
  }

  close(): void {
    for (const waiting of this.#waiting.values()) {
      waiting.nodes.clear();
      waiting.check();
    }
  }

  #wait(id: number, nodes: readonly string[]): { waiting: Waiting; done: Promise<void> } {
    const left = new Set(nodes);
    let check: (() => void) | undefined;
    const done = new Promise<void>((resolve) => {
      const end = (): void => {
        this.#clock.clearTimeout(timer);
        this.#waiting.delete(id);
        resolve();
      };
      const timer = this.#clock.setTimeout(end, answerMs);
      check = () => {
        if (left.size === 0) end();
      };
    });
    const waiting: Waiting = { nodes: left, answers: new Map(), check: () => check?.() };
    this.#waiting.set(id, waiting);
    return { waiting, done };
  }
}
