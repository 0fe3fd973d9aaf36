import { setTimeout as wait } from "node:timers/promises";
import type { TestServer } from "./server.ts";
import { connectAs, type Peer } from "./socket.ts";

const servedWithinMs = 100;
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
    const id = String(++this.#publishes);
    const startedAt = performance.now();
    this.#peer.send({ type: "publish", id, room: this.#room, event: "e", data: id, echo: false });
    await this.#peer.expectAll([
      { type: "ack", re: id, offset: this.#publishes },
      { type: "skip", room: this.#room, offset: this.#publishes },
    ]);
    const tookMs = performance.now() - startedAt;
    if (tookMs >= servedWithinMs) throw new Error(`another client was served after ${tookMs} ms`);
    await this.#nothingLeft();
  }

  end(): void {
    this.#peer.destroy();
  }

  /** The process holds no more sockets than before. */
  async #nothingLeft(): Promise<void> {
    const giveUpAt = performance.now() + cleanWithinMs;
    while (this.#server.sockets() > this.#sockets && performance.now() < giveUpAt) await wait(20);
    const left = this.#server.sockets() - this.#sockets;
    if (left > 0) throw new Error(`${left} more files or sockets are open than before`);
  }
}
