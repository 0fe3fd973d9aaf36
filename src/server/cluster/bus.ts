import type { Backend, RoomRef, Subscription } from "../../backends/backend.ts";
import { readMessage, type NodeMessage } from "./messages.ts";

/** No room and no group can be named so (P-20). */
const channel = (name: string): RoomRef => ({ name: `\u0002${name}`, keep: { messages: 0, ms: 0 } });
const everyone = channel("nodes");
const inboxOf = (node: string): RoomRef => channel(`node:${node}`);

export interface BusListener {
  /** A node has said it to all, this one too, or to this one. */
  heard(message: NodeMessage): void;
  /** The way was broken and is whole again. */
  interrupted(): void;
}

/** What nodes say to each other outside of rooms: one channel for all, and one to each. */
export class Bus {
  readonly #backend: Backend;
  readonly #node: string;
  #subscriptions: Subscription[] = [];

  constructor(backend: Backend, node: string) {
    this.#backend = backend;
    this.#node = node;
  }

  /** Gives how many other nodes there are; undefined: some. Rejects with `BackendUnavailable`, and can be called again. */
  async open(listener: BusListener): Promise<number | undefined> {
    this.close();
    const relayed = (text: string): void => {
      const message = readMessage(text);
      if (message !== undefined) listener.heard(message);
    };
    const own = await this.#backend.subscribe(inboxOf(this.#node), { appended: () => undefined, relayed });
    this.#subscriptions.push(own);
    const interrupted = (): void => listener.interrupted();
    const all = await this.#backend.subscribe(everyone, { appended: () => undefined, relayed, interrupted });
    this.#subscriptions.push(all);
    return all.others();
  }

  /** Rejects where it could not be sent on. */
  toAll(message: NodeMessage): Promise<void> {
    return this.#backend.relay(everyone, JSON.stringify(message));
  }

  /** What is lost is asked for again. */
  toNode(node: string, message: NodeMessage): void {
    this.#backend.relay(inboxOf(node), JSON.stringify(message)).catch(() => undefined);
  }

  close(): void {
    for (const subscription of this.#subscriptions.splice(0)) subscription.close();
  }
}
