import { createClient } from "../../../src/client/index.ts";
import type {
  Client,
  ClientOptions,
  ClientStatus,
  Contract,
  FanfareError,
  Platform,
  PlatformNews,
} from "../../../src/client/index.ts";
import type { ServerFrame } from "../../../src/protocol/frames.ts";

export type SentFrame = { type: string; id?: string; room?: string; key?: string; data?: unknown } & Record<
  string,
  unknown
>;

/** A socket without a network: what the client sends is in `sent`, and the test plays the server. */
export class FakeSocket {
  readonly url: URL;
  readonly protocols: string[];
  readonly sent: SentFrame[] = [];
  readyState = 0;
  bufferedAmount = 0;
  /** What the client closed it with; undefined where it did not. */
  closedWith: number | "no code" | undefined;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;

  constructor(url: string, protocols: string[]) {
    this.url = new URL(url);
    this.protocols = protocols;
  }

  send(text: string): void {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(JSON.parse(text) as SentFrame);
  }

  close(code?: number): void {
    this.closedWith = code ?? "no code";
    this.readyState = 2;
  }

  /** The server says something. */
  says(...frames: (ServerFrame | Record<string, unknown> | string)[]): void {
    this.readyState = 1;
    for (const frame of frames) {
      const data = typeof frame === "string" ? frame : JSON.stringify(frame);
      this.onmessage?.({ data } as never);
    }
  }

  /** The server closes, or the network does. */
  ends(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code } as never);
  }

  ofType(type: string): SentFrame[] {
    return this.sent.filter((frame) => frame.type === type);
  }
}

export interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A client in a world that the test turns by hand. */
export class World {
  readonly sockets: FakeSocket[] = [];
  readonly statuses: ClientStatus[] = [];
  readonly errors: FanfareError[] = [];
  readonly timers: Set<Timer> = new Set();
  readonly client: Client;
  nowMs = 1_000;
  random = 0.5;
  #keys = 0;
  #news: ((news: PlatformNews) => void) | undefined;

  constructor(options: Partial<ClientOptions<Contract>> = {}) {
    const { sockets } = this;
    class WebSocket extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    }
    this.client = createClient({
      url: "ws://fanfare.test/ws",
      token: "t0",
      WebSocket,
      platform: this.#platform(),
      ...options,
    } as ClientOptions);
    this.client.on("status", (status) => this.statuses.push(status));
    this.client.on("error", (error) => this.errors.push(error));
  }

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error("the client has not dialled");
    return last;
  }

  get isWatching(): boolean {
    return this.#news !== undefined;
  }

  news(news: PlatformNews): Promise<void> {
    this.#news?.(news);
    return settle();
  }

  /** Turns the clock, timers included. */
  async pass(ms: number): Promise<void> {
    const end = this.nowMs + ms;
    await settle();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.at);
      next.run();
      await settle();
    }
    this.nowMs = end;
  }

  /** Turns the clock as a machine that sleeps does: no timer runs meanwhile. */
  sleep(ms: number): void {
    this.nowMs += ms;
  }

  async connect(): Promise<FakeSocket> {
    this.client.connect();
    await settle();
    return this.socket;
  }

  async online(welcome: Record<string, unknown> = {}): Promise<FakeSocket> {
    if (this.client.status.state !== "connecting") await this.connect();
    await this.welcome(welcome);
    return this.socket;
  }

  async welcome(welcome: Record<string, unknown> = {}): Promise<void> {
    // Attempts that nobody answers are given up: wait for the next one.
    for (let i = 0; i < 200 && this.client.status.state !== "connecting"; i++) await this.pass(500);
    this.socket.says({ ...welcomeFrame(), ...welcome });
    await settle();
  }

  /** Loses the connection and lets the next one come up to `welcome`. */
  async reconnect(code = 1006, welcome: Record<string, unknown> = {}): Promise<FakeSocket> {
    this.socket.ends(code);
    await this.welcome(welcome);
    return this.socket;
  }

  /** Answers the join that was sent last for this room. */
  async admit(room: string, fields: Record<string, unknown> = {}): Promise<void> {
    const join = this.socket.ofType("join").findLast((frame) => frame.room === room);
    if (join === undefined) throw new Error(`no join for ${room}`);
    this.socket.says({ ...joinedFrame(room, join.id ?? ""), ...fields });
    await settle();
  }

  #next(end: number): Timer | undefined {
    return [...this.timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
  }

  #platform(): Platform {
    return {
      now: () => this.nowMs,
      random: () => this.random,
      randomKey: () => `key-${String(++this.#keys).padStart(18, "0")}`,
      setTimer: (run, ms) => {
        const timer = { at: this.nowMs + ms, run };
        this.timers.add(timer);
        return timer;
      },
      clearTimer: (timer) => void this.timers.delete(timer as Timer),
      watch: (listener) => {
        this.#news = listener;
        listener("up");
        return () => (this.#news = undefined);
      },
    };
  }
}

/** Lets all promises that can settle do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function welcomeFrame(): Record<string, unknown> {
  return {
    type: "welcome",
    v: 1,
    connection: "c1",
    user: "ann",
    ping_ms: 25_000,
    server_time: 0,
    limits: { message_bytes: 65_536, rooms: 100, requests_per_s: 50, dedupe_ms: 300_000 },
  };
}

export function joinedFrame(room: string, re: string): Record<string, unknown> {
  const rights = ["publish", "signal", "presence", "history"];
  return { type: "joined", re, room, cursor: "e:0", replay: 0, members: 1, rights };
}

export function message(room: string, offset: number, fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { type: "message", room, event: "said", data: offset, offset, from: "bob", at: 1, ...fields };
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<FanfareError> {
  return promise.then(
    () => Promise.reject(new Error("it resolved")),
    (error: FanfareError) => error,
  );
}
