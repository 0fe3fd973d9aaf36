import { connect, type Socket } from "node:net";
import { frameBytes, upgradeText } from "../raw.ts";

/** Where a server, or a proxy before it, is reached. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionEvents {
  /** A text frame: its bytes are `bytes` from `start` to `end`, valid during the call only. */
  text(bytes: Buffer, start: number, end: number): void;
  /** The handshake is complete; `head` is the server's answer. */
  upgraded?(head: string): void;
  /** The connection is gone: with the close frame's code, or without one. Called once, and not after `cut`. */
  ended(code: number | undefined): void;
}

const headEnd = "\r\n\r\n";
const empty = Buffer.alloc(0);

/** A WebSocket client that costs little per frame: no events, no copies, no strings. Trusts its server's framing. */
export class LeanConnection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  #isUpgraded = false;
  #isOver = false;
  #rest: Buffer = empty;
  #waiting: string[] = [];

  constructor(server: Address, token: string, events: ConnectionEvents) {
    this.#events = events;
    this.#socket = connect(server.port, "127.0.0.1");
    this.#socket.setNoDelay(true);
    this.#socket.write(upgradeText(server, { path: `/ws?token=${token}` }));
    this.#socket.on("data", (bytes) => this.#read(bytes));
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => this.#over(undefined));
  }

  /** Sent when the handshake is complete. */
  send(frame: object): void {
    const text = JSON.stringify(frame);
    if (this.#isUpgraded) this.#socket.write(frameBytes(text));
    else this.#waiting.push(text);
  }

  /** The connection vanishes, at once: nothing is said to the server, and nothing that it sent counts any more. */
  cut(withReset: boolean): void {
    this.#isOver = true;
    if (withReset) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Says goodbye; `ended` comes with the server's answer. */
  close(code: number): void {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    if (this.#isUpgraded) this.#socket.write(frameBytes(payload, { opcode: 8 }));
    else this.cut(false);
  }

  /** Reads nothing until `goOn`: what the server sends piles up on its side. */
  stall(): void {
    this.#socket.pause();
  }

  goOn(): void {
    this.#socket.resume();
  }

  #over(code: number | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#events.ended(code);
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = empty;
    if (!this.#isUpgraded) {
      const end = bytes.indexOf(headEnd);
      if (end === -1) return void (this.#rest = bytes);
      if (!bytes.subarray(0, 12).toString().startsWith("HTTP/1.1 101")) return this.#over(undefined);
      this.#isUpgraded = true;
      this.#events.upgraded?.(bytes.toString("latin1", 0, end));
      for (const text of this.#waiting.splice(0)) this.#socket.write(frameBytes(text));
      bytes = bytes.subarray(end + headEnd.length);
    }
    this.#frames(bytes);
  }

  #frames(bytes: Buffer): void {
    let at = 0;
    while (!this.#isOver && bytes.length - at >= 2) {
      const short = bytes[at + 1]!;
      let start = at + 2;
      let length = short;
      if (short >= 126) {
        start += short === 126 ? 2 : 8;
        if (bytes.length < start) break;
        length = short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
      }
      if (bytes.length < start + length) break;
      this.#frame(bytes[at]! & 0x0f, bytes, start, start + length);
      at = start + length;
    }
    this.#rest = at === bytes.length ? empty : bytes.subarray(at);
  }

  #frame(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === 1) this.#events.text(bytes, start, end);
    else if (opcode === 8) this.#over(end - start >= 2 ? bytes.readUInt16BE(start) : 1005);
    else if (opcode === 9) this.#socket.write(frameBytes(bytes.subarray(start, end), { opcode: 10 }));
  }
}
