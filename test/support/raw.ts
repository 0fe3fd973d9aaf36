import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { JsonObject } from "../../src/protocol/json.ts";
import type { TestServer } from "./server.ts";

const patienceMs = 5_000;

export interface RawFrame {
  opcode: number;
  payload: Buffer;
}

export interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  rsv?: number;
  /** Default true, as a client must. */
  masked?: boolean;
  /** The length to declare where it shall differ from the payload's. */
  declaredBytes?: number;
}

/** One WebSocket frame as bytes, lawful or not. */
export function frameBytes(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const body = Buffer.from(payload as string);
  const length = options.declaredBytes ?? body.length;
  const masked = options.masked ?? true;
  const first = ((options.fin ?? true) ? 0x80 : 0) | ((options.rsv ?? 0) << 4) | (options.opcode ?? 1);
  const head = lengthBytes(first, masked ? 0x80 : 0, length);
  if (!masked) return Buffer.concat([head, body]);
  const mask = randomBytes(4);
  const hidden = Buffer.from(body.map((byte, i) => byte ^ mask[i % 4]!));
  return Buffer.concat([head, mask, hidden]);
}

function lengthBytes(first: number, maskBit: number, length: number): Buffer {
  if (length < 126) return Buffer.from([first, maskBit | length]);
  if (length < 65_536) return Buffer.from([first, maskBit | 126, length >> 8, length & 0xff]);
  const head = Buffer.alloc(10);
  head.writeUInt8(first, 0);
  head.writeUInt8(maskBit | 127, 1);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** A TCP connection on which the test writes what it likes, and reads HTTP first and WebSocket frames after it. */
export class RawPeer {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      this.#wake?.();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  write(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  frame(payload: Buffer | string | object, options: FrameOptions = {}): void {
    const isPlain = typeof payload === "string" || Buffer.isBuffer(payload);
    this.write(frameBytes(isPlain ? payload : JSON.stringify(payload), options));
  }

  /** The head of an HTTP answer. */
  async head(withinMs: number = patienceMs): Promise<{ status: number; text: string }> {
    await this.#until(() => this.#bytes.includes("\r\n\r\n") || this.#ended, withinMs, "an HTTP answer");
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (end === -1) return { status: 0, text: this.#bytes.toString() };
    const text = this.#bytes.subarray(0, end).toString();
    this.#bytes = this.#bytes.subarray(end + 4);
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text };
  }

  /** All that came after the head until the peer ended the connection. */
  async body(withinMs: number = patienceMs): Promise<string> {
    await this.ended(withinMs);
    return this.#bytes.toString();
  }

  async next(withinMs: number = patienceMs): Promise<RawFrame> {
    let frame: RawFrame | undefined;
    await this.#until(() => (frame ??= this.#shift()) !== undefined || this.#ended, withinMs, "a frame");
    if (frame === undefined) throw new Error("the connection ended while a frame was awaited");
    return frame;
  }

  async nextJson(withinMs?: number): Promise<JsonObject> {
    return JSON.parse((await this.next(withinMs)).payload.toString()) as JsonObject;
  }

  /** The code of the close frame, past whatever comes before it; undefined where the socket ended without one. */
  async closeCode(withinMs: number = patienceMs): Promise<number | undefined> {
    const giveUpAt = performance.now() + withinMs;
    for (;;) {
      let frame: RawFrame | undefined;
      const leftMs = Math.max(0, giveUpAt - performance.now());
      await this.#until(() => (frame ??= this.#shift()) !== undefined || this.#ended, leftMs, "a close frame");
      if (frame === undefined) return undefined;
      if (frame.opcode === 8) return frame.payload.length < 2 ? 1005 : frame.payload.readUInt16BE(0);
    }
  }

  async ended(withinMs: number = patienceMs): Promise<void> {
    await this.#until(() => this.#ended, withinMs, "the end of the connection");
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Stops reading: what the server sends piles up in the kernel, then at the server. */
  stall(): void {
    this.socket.pause();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #shift(): RawFrame | undefined {
    if (this.#bytes.length < 2) return undefined;
    const short = this.#bytes[1]! & 0x7f;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (this.#bytes.length < start) return undefined;
    const length =
      short < 126 ? short : short === 126 ? this.#bytes.readUInt16BE(2) : Number(this.#bytes.readBigUInt64BE(2));
    if (this.#bytes.length < start + length) return undefined;
    const frame = { opcode: this.#bytes[0]! & 0x0f, payload: this.#bytes.subarray(start, start + length) };
    this.#bytes = this.#bytes.subarray(start + length);
    return frame;
  }

  async #until(isReached: () => boolean, withinMs: number, what: string): Promise<void> {
    if (isReached()) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} did not come within ${withinMs} ms`)), withinMs);
      this.#wake = () => isReached() && resolve();
    }).finally(() => {
      clearTimeout(timer);
      this.#wake = undefined;
    });
  }
}

export async function rawConnect(server: TestServer): Promise<RawPeer> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  socket.setNoDelay(true);
  return new RawPeer(socket);
}

/** The lines of a lawful upgrade; a header given as undefined is left out, given as a list it is repeated. */
export function upgradeText(
  server: Pick<TestServer, "host">,
  options: {
    path?: string;
    headers?: Record<string, string | string[] | undefined>;
    method?: string;
    version?: string;
  } = {},
): string {
  const headers: Record<string, string | string[] | undefined> = {
    Host: server.host,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "fanfare.v1",
    ...options.headers,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  return `${options.method ?? "GET"} ${options.path ?? "/ws"} HTTP/${options.version ?? "1.1"}\r\n${lines.join("")}\r\n`;
}

/** Past the handshake and `welcome`, with the token's user. */
export async function rawConnectAs(
  server: TestServer,
  token: string,
  headers: Record<string, string> = {},
): Promise<RawPeer> {
  const peer = await rawConnect(server);
  peer.write(upgradeText(server, { path: `/ws?token=${token}`, headers }));
  const { status, text } = await peer.head();
  if (status !== 101) throw new Error(`no upgrade: ${text}`);
  const welcome = await peer.nextJson();
  if (welcome["type"] !== "welcome") throw new Error(`no welcome: ${JSON.stringify(welcome)}`);
  return peer;
}
