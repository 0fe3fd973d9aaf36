import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import type { Json, JsonObject } from "../../src/protocol/json.ts";
import { mismatch, type Bindings } from "./match.ts";
import type { TestServer } from "./server.ts";
import { makeToken, type TokenClaims } from "./token.ts";

export interface Closed {
  code: number;
  reason: string;
}

export interface ConnectOptions {
  /** Default `/ws`. */
  path?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  /** Default `fanfare.v1`. */
  protocols?: string[];
  /** Default true: `ping` is answered with `pong` and not shown. */
  autoPong?: boolean;
  localAddress?: string;
}

const patienceMs = 5_000;

/** A plain peer that speaks JSON text frames over a WebSocket and reads what comes, in order. */
export class Peer {
  readonly socket: WebSocket;
  /** All text frames since the connection opened, in order. */
  readonly log: string[] = [];
  readonly #autoPong: boolean;
  readonly #frames: JsonObject[] = [];
  #wake: (() => void) | undefined;
  #closed: Closed | undefined;

  constructor(socket: WebSocket, autoPong = true) {
    this.socket = socket;
    this.#autoPong = autoPong;
    socket.on("message", (bytes, isBinary) => this.#take(String(bytes), isBinary));
    socket.on("close", (code, reason) => {
      this.#closed = { code, reason: reason.toString() };
      this.#wake?.();
    });
    socket.on("error", () => undefined);
  }

  send(frame: Json): void {
    this.socket.send(JSON.stringify(frame));
  }

  text(text: string): void {
    this.socket.send(text);
  }

  /** The next frame, whatever it is. Rejects after a while, or where the connection closes first. */
  async next(withinMs: number = patienceMs): Promise<JsonObject> {
    await this.#until(() => this.#frames.length > 0 || this.#closed !== undefined, withinMs, "a frame");
    const frame = this.#frames.shift();
    if (frame === undefined) throw new Error(`closed with ${JSON.stringify(this.#closed)} while a frame was awaited`);
    return frame;
  }

  /** The next frame, which must match (see `mismatch`). */
  async expect(pattern: JsonObject, bindings: Bindings = new Map(), withinMs?: number): Promise<JsonObject> {
    const frame = await this.next(withinMs);
    const fault = mismatch(frame, pattern, bindings);
    if (fault !== undefined)
      throw new Error(`${fault}\n  got      ${JSON.stringify(frame)}\n  expected ${JSON.stringify(pattern)}`);
    return frame;
  }

  /** The next frames, which must match the patterns in some order. */
  async expectAll(patterns: readonly JsonObject[], bindings: Bindings = new Map()): Promise<void> {
    const open = [...patterns];
    while (open.length > 0) {
      const frame = await this.next();
      const at = open.findIndex((pattern) => mismatch(frame, pattern, new Map(bindings)) === undefined);
      const pattern = open[at];
      if (pattern === undefined) throw new Error(`${JSON.stringify(frame)} is none of ${JSON.stringify(open)}`);
      mismatch(frame, pattern, bindings);
      open.splice(at, 1);
    }
  }

  /** The first frame from here on that matches; those before it are dropped. */
  async until(pattern: JsonObject, bindings: Bindings = new Map(), withinMs: number = patienceMs): Promise<JsonObject> {
    const giveUpAt = Date.now() + withinMs;
    for (;;) {
      const frame = await this.next(Math.max(1, giveUpAt - Date.now()));
      if (mismatch(frame, pattern, bindings) === undefined) return frame;
    }
  }

  /** Frames that came and were not read yet. */
  pending(): JsonObject[] {
    return this.#frames.splice(0);
  }

  /** All frames up to the answer to a ping sent now: what the server had to say so far. */
  async settled(): Promise<JsonObject[]> {
    const id = `settled-${Math.random().toString(36).slice(2)}`;
    this.send({ type: "ping", id });
    const before: JsonObject[] = [];
    for (;;) {
      const frame = await this.next();
      if (frame["type"] === "pong" && frame["re"] === id) return before;
      before.push(frame);
    }
  }

  /** How the connection closed; frames that come before are kept. */
  async closed(withinMs: number = patienceMs): Promise<Closed> {
    await this.#until(() => this.#closed !== undefined, withinMs, "the close");
    return this.#closed!;
  }

  async expectClose(code: number, withinMs?: number): Promise<void> {
    const closed = await this.closed(withinMs);
    if (closed.code !== code) throw new Error(`closed with ${closed.code} ${closed.reason}, expected ${code}`);
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  async close(code = 1000): Promise<void> {
    this.socket.close(code);
    await this.closed();
  }

  /** The connection vanishes: no close frame. */
  destroy(): void {
    this.socket.terminate();
  }

  #take(text: string, isBinary: boolean): void {
    if (isBinary) throw new Error("the server sent a binary frame");
    this.log.push(text);
    const frame = JSON.parse(text) as JsonObject;
    if (this.#autoPong && frame["type"] === "ping") return this.send({ type: "pong" });
    this.#frames.push(frame);
    this.#wake?.();
  }

  async #until(isReached: () => boolean, withinMs: number, what: string): Promise<void> {
    if (isReached()) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new Error(
              `${what} did not come within ${withinMs} ms; pending ${JSON.stringify(this.#frames).slice(0, 500)}`,
            ),
          ),
        withinMs,
      );
      this.#wake = () => isReached() && resolve();
    }).finally(() => {
      clearTimeout(timer);
      this.#wake = undefined;
    });
  }
}

/** Resolves when the handshake is complete; rejects with `Refused` on another answer than 101. */
export async function connect(server: TestServer, options: ConnectOptions = {}): Promise<Peer> {
  const query = new URLSearchParams(options.query).toString();
  const url = `ws://${server.host}${options.path ?? "/ws"}${query === "" ? "" : `?${query}`}`;
  const socket = new WebSocket(url, options.protocols ?? ["fanfare.v1"], {
    headers: options.headers ?? {},
    perMessageDeflate: false,
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
  });
  const peer = new Peer(socket, options.autoPong ?? true);
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once(
      "unexpected-response",
      (_: ClientRequest, response: IncomingMessage) => void refusal(response).then(reject),
    );
  });
  return peer;
}

/** An HTTP answer in place of the upgrade. */
export class Refused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;

  constructor(status: number, headers: IncomingMessage["headers"], body: string) {
    super(`refused with ${status}: ${body.slice(0, 200)}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

async function refusal(response: IncomingMessage): Promise<Refused> {
  let body = "";
  response.setEncoding("utf8").on("data", (text: string) => (body += text));
  await Promise.race([once(response, "end"), once(response, "close")]);
  return new Refused(response.statusCode ?? 0, response.headers, body);
}

/** A user's connection, past `welcome`. Its token gives all rights everywhere unless `claims` says otherwise. */
export async function connectAs(
  server: TestServer,
  user: string,
  claims: TokenClaims & { expires_in_ms?: number } = {},
  options: ConnectOptions = {},
): Promise<Peer> {
  const token = makeToken({ sub: user, rooms: ["**"], ...claims });
  const peer = await connect(server, { ...options, query: { token, ...options.query } });
  await peer.expect({ type: "welcome", user });
  return peer;
}
