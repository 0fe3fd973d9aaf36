import { setTimeout as wait } from "node:timers/promises";
import type { TestServer } from "./server.ts";
import { connectAs, type Peer } from "./socket.ts";

const servedWithinMs = 100;
/** On a busy machine one answer may come late for no fault of the server's; a server that is blocked is late with all. */
const maxTries = 5;
const cleanWithinMs = 3_000;

/**
 * Another client of the server, there before and after a bad input: sees that the process lives, that it is itself
 * served at once, and that nothing of the bad input is left behind.
 */
export class Witness {
  readonly #server: TestServer;
  readonly #peer: Peer;
  readonly #room: string;
  readonly #sockets: number;
  #publishes = 0;

  private constructor(server: TestServer, peer: Peer, room: string) {
    this.#server = server;
    this.#peer = peer;
    this.#room = room;
    this.#sockets = server.sockets();
  }

  static async of(server: TestServer): Promise<Witness> {
    const room = `witness-${Math.random().toString(36).slice(2)}`;
    const peer = await connectAs(server, `witness of ${room}`);
    peer.send({ type: "join", room });
    await peer.expect({ type: "joined", room, members: 1 });
    return new Witness(server, peer, room);
  }

  async sees(): Promise<void> {
    if (!this.#server.alive) throw new Error(`the server has ended:\n${this.#server.output.slice(-2_000)}`);
    await this.#isServed();
    await this.#nothingLeft();
  }

  end(): void {
    this.#peer.destroy();
  }

  async #isServed(): Promise<void> {
    let tookMs = 0;
    for (let i = 0; i < maxTries; i++) {
      tookMs = await this.#publish();
      if (tookMs < servedWithinMs) return;
    }
    throw new Error(`another client was served after ${tookMs} ms`);
  }

  async #publish(): Promise<number> {
    const id = String(++this.#publishes);
    const startedAt = performance.now();
    this.#peer.send({ type: "publish", id, room: this.#room, event: "e", data: id, echo: false });
    await this.#peer.expectAll([
      { type: "ack", re: id, offset: this.#publishes },
      { type: "skip", room: this.#room, offset: this.#publishes },
    ]);
    return performance.now() - startedAt;
  }

  /** The process holds no more sockets than before. */
  async #nothingLeft(): Promise<void> {
    const giveUpAt = performance.now() + cleanWithinMs;
    while (this.#server.sockets() > this.#sockets && performance.now() < giveUpAt) await wait(20);
    const left = this.#server.sockets() - this.#sockets;
    if (left > 0) throw new Error(`${left} more files or sockets are open than before`);
  }
}
