import { setTimeout as wait } from "node:timers/promises";
import { http } from "./http.ts";
import type { TestServer } from "./server.ts";
import { connectAs, type Peer } from "./socket.ts";

const servedWithinMs = 100;
/** On a busy machine one answer may come late for no fault of the server's; a server that is blocked is late with all. */
const maxTries = 5;
const cleanWithinMs = 3_000;

/** What a server holds, by its metrics. Rooms and members stay for the grace of who vanished, unless that is 0. */
const held = ["fanfare_connections", "fanfare_outbox_bytes", "fanfare_rooms", "fanfare_members"];
const heldAtOnce = held.slice(0, 2);

/**
 * Another client of the server, there before and after a bad input: sees that the process lives, that it is itself
 * served at once, and that nothing of the bad input is left behind.
 */
export class Witness {
  readonly #server: TestServer;
  readonly #peer: Peer;
  readonly #room: string;
  readonly #before: Holdings;
  #publishes = 0;

  private constructor(server: TestServer, peer: Peer, room: string, before: Holdings) {
    this.#server = server;
    this.#peer = peer;
    this.#room = room;
    this.#before = before;
  }

  static async of(server: TestServer): Promise<Witness> {
    const room = `witness-${Math.random().toString(36).slice(2)}`;
    const peer = await connectAs(server, `witness of ${room}`);
    peer.send({ type: "join", room });
    await peer.expect({ type: "joined", room, members: 1 });
    return new Witness(server, peer, room, await holdingsOf(server));
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

  /** The process holds no more than before: sockets, connections, bytes for readers, rooms, members. */
  async #nothingLeft(): Promise<void> {
    const giveUpAt = performance.now() + cleanWithinMs;
    for (;;) {
      const now = await holdingsOf(this.#server);
      const left = [...now].filter(([what, count]) => count > (this.#before.get(what) ?? 0));
      if (left.length === 0) return;
      if (performance.now() > giveUpAt) {
        const told = left.map(([what, count]) => `${what} is ${count}, and was ${this.#before.get(what) ?? 0}`);
        throw new Error(`left behind: ${told.join("; ")}`);
      }
      await wait(20);
    }
  }
}

type Holdings = ReadonlyMap<string, number>;

async function holdingsOf(server: TestServer): Promise<Holdings> {
  const { text } = await http(`http://${server.host}/metrics`);
  const names = server.args.includes("grace_ms=0") ? held : heldAtOnce;
  const samples = [...text.matchAll(/^(fanfare_\w+)(\{[^}]*\})? (\S+)$/gm)];
  const gauges = samples.filter(([, name = ""]) => names.includes(name));
  return new Map([
    ["files and sockets", server.sockets()],
    ...gauges.map(([, name = "", labels = "", value]) => [name + labels, Number(value)] as const),
  ]);
}
