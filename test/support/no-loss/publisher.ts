import type { JsonObject } from "../../../src/protocol/json.ts";
import type { TestServer } from "../server.ts";
import { LeanConnection } from "./connection.ts";

const retryMs = 30;
/** Short, so that messages come one or two at a time and a resume can fall between any two of them. */
const tickMs = 1;
/** Fewer than the requests of one connection that a server lets wait. */
const maxInFlight = 500;

/**
 * Publishes the numbers from 1 to `total` at a steady rate, each with a key, and repeats in order what was not
 * acknowledged whenever its connection goes (P-31). Late after an outage, it catches up as fast as answers come.
 */
export class Publisher {
  /** Resolves when all are acknowledged. */
  readonly done: Promise<void>;
  /** What the server must not have answered. */
  readonly faults: string[] = [];
  /** Acknowledged so far: all up to this. */
  acked = 0;
  repeated = 0;
  readonly #server: TestServer;
  readonly #token: string;
  readonly #room: string;
  readonly #total: number;
  readonly #perS: number;
  readonly #startedAt = performance.now();
  readonly #ticker: NodeJS.Timeout;
  #sent = 0;
  #everSent = 0;
  #connection: LeanConnection | undefined;
  #isJoined = false;
  #isDone: () => void = () => undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(server: TestServer, token: string, room: string, options: { total: number; perS: number }) {
    this.#server = server;
    this.#token = token;
    this.#room = room;
    this.#total = options.total;
    this.#perS = options.perS;
    this.done = new Promise((resolve) => (this.#isDone = resolve));
    this.#open();
    this.#ticker = setInterval(() => this.#publish(), tickMs);
  }

  stop(): void {
    clearInterval(this.#ticker);
    clearTimeout(this.#retry);
    this.#connection?.cut(false);
  }

  #open(): void {
    this.#isJoined = false;
    this.#sent = this.acked;
    this.#connection = new LeanConnection(this.#server, this.#token, {
      text: (bytes, start, end) => this.#frame(JSON.parse(bytes.toString("utf8", start, end)) as JsonObject),
      ended: () => (this.#retry = setTimeout(() => this.#open(), retryMs)),
    });
    this.#connection.send({ type: "join", room: this.#room });
  }

  #publish(): void {
    if (!this.#isJoined) return;
    const due = Math.min(this.#total, Math.floor(((performance.now() - this.#startedAt) / 1000) * this.#perS));
    while (this.#sent < due && this.#sent - this.acked < maxInFlight) {
      const n = ++this.#sent;
      if (n <= this.#everSent) this.repeated++;
      this.#everSent = Math.max(this.#everSent, n);
      this.#connection?.send({
        type: "publish",
        id: String(n),
        key: `k${n}`,
        room: this.#room,
        event: "n",
        data: n,
        echo: false,
      });
    }
  }

  #frame(frame: JsonObject): void {
    switch (frame["type"]) {
      case "joined":
        this.#isJoined = true;
        return this.#publish();
      case "ack":
        return this.#ack(frame);
      case "ping":
        return this.#connection?.send({ type: "pong" });
      case "error":
        return this.#error(frame);
      default:
        return undefined;
    }
  }

  #ack(frame: JsonObject): void {
    const n = Number(frame["re"]);
    if (n !== this.acked + 1) this.faults.push(`ack of ${n} after that of ${this.acked}`);
    if (frame["offset"] !== n) this.faults.push(`number ${n} was acknowledged at ${JSON.stringify(frame["offset"])}`);
    this.acked = n;
    if (n === this.#total) {
      clearInterval(this.#ticker);
      this.#isDone();
    }
  }

  /** Whatever was refused and all that waits behind it is published again, in order, over a new connection. */
  #error(frame: JsonObject): void {
    const mayPass = frame["code"] === "unavailable" || frame["code"] === "rate_limited";
    if (!mayPass) this.faults.push(`refused: ${JSON.stringify(frame)}`);
    this.#connection?.cut(false);
    this.#isJoined = false;
    const delayMs = typeof frame["retry_after_ms"] === "number" ? frame["retry_after_ms"] : retryMs;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), delayMs);
  }
}
