import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Address } from "../support/no-loss/connection.ts";

/** What bytes become on their way, on one connection in one direction (up: to the server). */
export type Mangle = (direction: "up" | "down") => (bytes: Buffer) => Buffer;

/** More than this waits in no direction: then the sender is not read, so that a slow reader stays slow through us. */
const maxWaitingBytes = 262_144;

/**
 * A TCP proxy that a test can spoil: it delays, holds one direction back as a network does that loses packets one way,
 * cuts connections off, or forgets them without a word to either side.
 */
export class Link {
  /** Added to what passes, in both directions. */
  delayMs = 0;
  readonly #target: () => Address | undefined;
  readonly #mangle: Mangle | undefined;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #held = { up: false, down: false };
  #port = 0;

  constructor(target: () => Address | undefined, mangle?: Mangle) {
    this.#target = target;
    this.#mangle = mangle;
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#pair(near));
  }

  async open(port = 0): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  get address(): Address {
    return { host: `127.0.0.1:${this.#port}`, port: this.#port };
  }

  /** From now on nothing passes in that direction (up: to the server); it comes later, in order, when it is let go. */
  hold(direction: "up" | "down"): void {
    this.#held[direction] = true;
    for (const pair of this.#pairs) pair.hold(direction);
  }

  letGo(): void {
    this.#held.up = false;
    this.#held.down = false;
    for (const pair of this.#pairs) pair.letGo();
  }

  /** Ends a part of the connections with a reset. */
  cut(isChosen: () => boolean = () => true): void {
    for (const pair of this.#pairs) if (isChosen()) pair.destroy();
  }

  /** Nothing passes on a part of the connections any more, not even their end. New ones are served. */
  forget(isChosen: () => boolean = () => true): void {
    for (const pair of this.#pairs) if (isChosen()) pair.forget();
  }

  /** What was forgotten is answered with a reset, as by a host that is back and knows nothing of it. */
  reset(): void {
    for (const pair of this.#pairs) if (pair.isForgotten) pair.destroy();
  }

  close(): void {
    this.#server.close();
    for (const pair of this.#pairs) pair.destroy();
  }

  #pair(near: Socket): void {
    const target = this.#target();
    if (target === undefined) return void near.resetAndDestroy();
    const far = connect({ port: target.port, host: "127.0.0.1", allowHalfOpen: true });
    const pair = new Pair(near, far, this, this.#mangle, () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
    if (this.#held.up) pair.hold("up");
    if (this.#held.down) pair.hold("down");
  }
}

class Pair {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #gone: () => void;
  isForgotten = false;

  constructor(near: Socket, far: Socket, link: Link, mangle: Mangle | undefined, gone: () => void) {
    this.#near = near;
    this.#far = far;
    this.#gone = gone;
    near.setNoDelay(true);
    far.setNoDelay(true);
    this.#up = new Flow(near, far, link, mangle?.("up"));
    this.#down = new Flow(far, near, link, mangle?.("down"));
    for (const socket of [near, far]) {
      socket.on("error", () => undefined);
      socket.on("close", () => this.isForgotten || this.destroy());
    }
  }

  hold(direction: "up" | "down"): void {
    (direction === "up" ? this.#up : this.#down).stop();
  }

  letGo(): void {
    if (this.isForgotten) return;
    this.#up.go();
    this.#down.go();
  }

  forget(): void {
    this.isForgotten = true;
    this.#up.stop();
    this.#down.stop();
  }

  destroy(): void {
    this.#gone();
    reset(this.#near);
    reset(this.#far);
  }
}

/** Node 20 never closes a socket that is reset while its end is on its way, and spins for ever when the process ends. */
function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** One direction of a connection. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #link: Link;
  readonly #queue: { readonly run: () => void; readonly dueAt: number }[] = [];
  #waitingBytes = 0;
  #lastDueAt = 0;
  #isStopped = false;

  constructor(from: Socket, to: Socket, link: Link, mangle: ((bytes: Buffer) => Buffer) | undefined) {
    this.#from = from;
    this.#to = to;
    this.#link = link;
    from.on("data", (bytes) => this.#take(mangle === undefined ? bytes : mangle(bytes)));
    from.on("end", () => this.#later(() => to.end()));
    to.on("drain", () => this.#mayRead());
  }

  stop(): void {
    this.#isStopped = true;
    this.#from.pause();
  }

  go(): void {
    this.#isStopped = false;
    this.#mayRead();
  }

  #take(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#waitingBytes += bytes.length;
    this.#later(() => {
      this.#waitingBytes -= bytes.length;
      if (!this.#to.destroyed) this.#to.write(bytes);
      this.#mayRead();
    });
    this.#mayRead();
  }

  /** In order: what was delayed longer is not overtaken. */
  #later(run: () => void): void {
    const now = performance.now();
    this.#lastDueAt = Math.max(this.#lastDueAt, now + this.#link.delayMs);
    if (this.#lastDueAt <= now && this.#queue.length === 0) return run();
    this.#queue.push({ run, dueAt: this.#lastDueAt });
    if (this.#queue.length === 1) this.#wake();
  }

  /** One timer at a time: two of different length may come in the wrong order. */
  #wake(): void {
    const [next] = this.#queue;
    if (next === undefined) return;
    setTimeout(
      () => {
        this.#queue.shift();
        next.run();
        this.#wake();
      },
      Math.max(0, next.dueAt - performance.now()),
    );
  }

  #mayRead(): void {
    const isFull = this.#waitingBytes + this.#to.writableLength > maxWaitingBytes;
    if (this.#isStopped || isFull) this.#from.pause();
    else this.#from.resume();
  }
}
