import { connect, type Socket } from "node:net";
import type { TestServer } from "../server.ts";
import type { ConnectionEvents } from "./connection.ts";

const headEnd = "\r\n\r\n";
const idField = "id: ";
const dataField = "data: ";
const empty = Buffer.alloc(0);

export interface StreamEvents extends ConnectionEvents {
  /** An event has been dispatched; this is its id. */
  id(id: string): void;
}

/** An SSE client that costs little per event. Trusts its server's framing: LF ends a line, `data` is one line. */
export class LeanStream {
  readonly #socket: Socket;
  readonly #events: StreamEvents;
  #isOpen = false;
  #isOver = false;
  #rest: Buffer = empty;

  constructor(server: TestServer, path: string, lastId: string | undefined, events: StreamEvents) {
    this.#events = events;
    this.#socket = connect(server.port, "127.0.0.1");
    this.#socket.setNoDelay(true);
    const id = lastId === undefined ? "" : `Last-Event-ID: ${lastId}\r\n`;
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${server.host}\r\n${id}\r\n`);
    this.#socket.on("data", (bytes) => this.#read(bytes));
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => this.#over());
  }

  /** A stream has no way to answer. */
  send(frame: object): void {
    throw new Error(`the server wants an answer over SSE: ${JSON.stringify(frame)}`);
  }

  /** The connection vanishes, at once: nothing that the server sent counts any more. */
  cut(withReset: boolean): void {
    this.#isOver = true;
    if (withReset) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#events.ended(undefined);
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = empty;
    if (!this.#isOpen) {
      const end = bytes.indexOf(headEnd);
      if (end === -1) return void (this.#rest = bytes);
      if (!bytes.subarray(0, 12).toString().startsWith("HTTP/1.1 200")) return this.#over();
      this.#isOpen = true;
      bytes = bytes.subarray(end + headEnd.length);
    }
    let at = 0;
    while (!this.#isOver) {
      const end = bytes.indexOf("\n\n", at);
      if (end === -1) break;
      this.#event(bytes, at, end);
      at = end + 2;
    }
    this.#rest = at === bytes.length ? empty : bytes.subarray(at);
  }

  #event(bytes: Buffer, start: number, end: number): void {
    const dataAt = bytes.indexOf(dataField, start);
    if (dataAt === -1 || dataAt >= end) return;
    const idAt = bytes.indexOf(idField, start) + idField.length;
    const id = bytes.toString("latin1", idAt, bytes.indexOf("\n", idAt));
    this.#events.text(bytes, dataAt + dataField.length, end);
    if (!this.#isOver) this.#events.id(id);
  }
}
