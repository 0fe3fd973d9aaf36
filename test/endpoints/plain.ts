import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect as dial } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket, type ClientOptions } from "ws";

const patienceMs = 5_000;

/** A plain peer that knows nothing of this package: what came, in order, and how it ended. */
export class Plain {
  readonly socket: WebSocket;
  readonly #came: (string | Buffer)[] = [];
  #closed: { code: number; reason: string } | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data, isBinary) => {
      this.#came.push(isBinary ? (data as Buffer) : String(data));
      this.#wake?.();
    });
    socket.on("close", (code, reason) => {
      this.#closed = { code, reason: String(reason) };
      this.#wake?.();
    });
    socket.on("error", () => undefined);
  }

  send(message: string | Uint8Array | object): void {
    this.socket.send(typeof message === "string" || message instanceof Uint8Array ? message : JSON.stringify(message));
  }

  /** The next message; texts that are JSON as their value. */
  async next(): Promise<unknown> {
    await this.#until(() => this.#came.length > 0 || this.#closed !== undefined, "a message");
    const message = this.#came.shift();
    if (message === undefined) throw new Error(`closed with ${JSON.stringify(this.#closed)}`);
    if (typeof message !== "string") return message;
    try {
      return JSON.parse(message) as unknown;
    } catch {
      return message;
    }
  }

  async closed(): Promise<{ code: number; reason: string }> {
    await this.#until(() => this.#closed !== undefined, "the close");
    return this.#closed!;
  }

  /** What came and was not read yet. */
  get unread(): number {
    return this.#came.length;
  }

  async #until(isThere: () => boolean, what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    if (isThere()) return;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} did not come`)), patienceMs);
      this.#wake = () => isThere() && resolve();
    }).finally(() => clearTimeout(timer));
  }
}

/** Resolves when the socket is open; rejects with `status <n>: <body>` where it is refused in HTTP. */
export async function connect(url: string, options: ClientOptions & { protocols?: string[] } = {}): Promise<Plain> {
  const socket = new WebSocket(url, options.protocols ?? [], { perMessageDeflate: false, ...options });
  const peer = new Plain(socket);
  onTestFinished(() => socket.terminate());
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve).once("error", reject);
    socket.once("unexpected-response", (_: unknown, response: IncomingMessage) => {
      let body = "";
      response.on("data", (bytes) => (body += String(bytes)));
      void once(response, "end").then(() => reject(new Error(`status ${response.statusCode}: ${body.trim()}`)));
    });
  });
  return peer;
}

/** What a server answers to bytes, up to its end. */
export async function exchange(port: number, bytes: string): Promise<string> {
  const socket = dial(port, "127.0.0.1").setEncoding("utf8");
  let answer = "";
  socket.on("data", (text) => (answer += String(text)));
  socket.write(bytes);
  await once(socket, "close");
  return answer;
}
