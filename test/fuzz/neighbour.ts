import { WebSocket } from "ws";
import { signToken } from "../support/token.ts";
import type { Fault } from "./fault.ts";
import { Listener } from "./frame-rules.ts";

const everyMs = 100;
const lagEveryMs = 20;

/**
 * Two people who behave: one publishes ten times a second, the other listens. Each message has to come in order and within
 * `patienceMs`; what this process itself was late by is not held against the server.
 */
export class Neighbour {
  fault: Fault | undefined;
  /** The longest that a message took, in milliseconds. */
  worstMs = 0;
  heard = 0;
  readonly #patienceMs: number;
  readonly #sockets: readonly WebSocket[];
  readonly #sent: Map<number, number> = new Map();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #listener: Listener = new Listener();
  #next = 0;
  #ownLagMs = 0;
  #isOver = false;

  private constructor(patienceMs: number, sockets: readonly WebSocket[]) {
    this.#patienceMs = patienceMs;
    this.#sockets = sockets;
  }

  static async of(port: number, patienceMs: number): Promise<Neighbour> {
    const room = `neighbour/${Math.random().toString(36).slice(2)}`;
    const times = { iat: 1_577_836_800, exp: 4_102_444_800 };
    const open = (): WebSocket => {
      const claims = { ...times, sub: room.slice(10), rooms: [room] };
      const token = signToken({ alg: "HS256", typ: "JWT" }, JSON.stringify(claims));
      return new WebSocket(`ws://127.0.0.1:${port}/ws/${encodeURIComponent(room)}`, ["fanfare.v1"], {
        headers: { authorization: `Bearer ${token}` },
      });
    };
    const [speaker, listener] = [open(), open()];
    const neighbour = new Neighbour(patienceMs, [speaker, listener]);
    const joined = Promise.all([speaker, listener].map(untilJoined));
    neighbour.#listen(speaker, listener);
    await joined;
    neighbour.#speak(speaker, room);
    return neighbour;
  }

  end(): void {
    this.#isOver = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.terminate();
  }

  #listen(speaker: WebSocket, listener: WebSocket): void {
    listener.on("message", (data) => this.#hear(String(data)));
    for (const socket of [speaker, listener]) {
      socket.on("error", () => undefined);
      socket.on("close", (code) => this.#isOver || this.#fail(`was closed with ${code}`));
      socket.on("message", (data) => {
        if (String(data) === '{"type":"ping"}') socket.send('{"type":"pong"}');
      });
    }
  }

  #speak(speaker: WebSocket, room: string): void {
    let due = performance.now() + lagEveryMs;
    const lag = setInterval(() => {
      const now = performance.now();
      this.#ownLagMs = Math.max(this.#ownLagMs * 0.98, now - due);
      due = now + lagEveryMs;
    }, lagEveryMs);
    const publish = setInterval(() => {
      this.#checkOldest();
      const n = ++this.#next;
      this.#sent.set(n, performance.now());
      speaker.send(JSON.stringify({ type: "publish", room, event: "n", data: n }));
    }, everyMs);
    this.#timers.push(lag, publish);
  }

  #hear(json: string): void {
    const fault = this.#listener.hear(json);
    if (fault !== undefined) return this.#fail(`was told ${fault.what}`);
    const frame = JSON.parse(json) as { type: string; data?: unknown };
    if (frame.type !== "message") return;
    this.heard++;
    const n = Number(frame.data);
    const sentAt = this.#sent.get(n);
    if (sentAt === undefined || this.#sent.keys().next().value !== n)
      return this.#fail(`got message ${n} out of order`);
    this.#sent.delete(n);
    this.#checkAge(performance.now() - sentAt);
  }

  #checkOldest(): void {
    const oldest = this.#sent.values().next().value;
    if (oldest !== undefined) this.#checkAge(performance.now() - oldest);
  }

  #checkAge(ageMs: number): void {
    const late = ageMs - this.#ownLagMs;
    this.worstMs = Math.max(this.worstMs, late);
    if (late > this.#patienceMs) this.#fail(`waited ${Math.round(ageMs)} ms for a message`);
  }

  #fail(what: string): void {
    if (!this.#isOver) this.fault ??= { kind: "neighbour", what: `the neighbour ${what}` };
  }
}

function untilJoined(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.on("message", (data) => {
      if (String(data).startsWith('{"type":"joined"')) resolve();
    });
  });
}
