import type { Msg } from "@nats-io/transport-node";
import { type Link, NoResponders } from "./link.ts";
import type { Names } from "./names.ts";

/** How long an answer of another node is waited for, before it counts as "some". */
const answerMs = 300;

/** What is heard in the rooms that this node listens to. */
export interface Heard {
  readonly message: (room: string, message: Msg) => void;
  readonly relayed: (room: string, text: string) => void;
}

/** The subjects of rooms that this node listens to: one subscription a room. */
export class Bus {
  readonly #link: Link;
  readonly #names: Names;
  readonly #heard: Heard;
  readonly #stops = new Map<string, () => void>();

  constructor(link: Link, names: Names, heard: Heard) {
    this.#link = link;
    this.#names = names;
    this.#heard = heard;
  }

  /** Resolves when the server knows of it. */
  async attach(room: string): Promise<void> {
    if (!this.#stops.has(room)) {
      const stop = this.#link.subscribe(this.#names.allOf(room), (message) => this.#hear(room, message));
      this.#stops.set(room, stop);
    }
    await this.#link.flush();
  }

  detach(room: string): void {
    this.#stops.get(room)?.();
    this.#stops.delete(room);
  }

  relay(room: string, text: string): void {
    this.#link.publish(this.#names.relayOf(room), text);
  }

  /** NATS tells that nobody else listens, and not how many do. */
  async others(room: string): Promise<number | undefined> {
    try {
      await this.#link.request(this.#names.whoOf(room), "", { withinMs: answerMs });
      return undefined;
    } catch (error) {
      if (error instanceof NoResponders) return 0;
      // Somebody listens, and is slow to answer.
      if (this.#link.isReady) return undefined;
      throw error;
    }
  }

  #hear(room: string, message: Msg): void {
    const kind = message.subject.at(-1);
    if (kind === "m") this.#heard.message(room, message);
    else if (kind === "r") this.#heard.relayed(room, message.string());
    else if (kind === "w") message.respond("");
  }
}
