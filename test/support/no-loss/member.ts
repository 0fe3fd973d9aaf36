import type { JsonObject } from "../../../src/protocol/json.ts";
import type { Dial, MemberConnection } from "./dial.ts";

export interface MemberEvents {
  /** The app of this member gets a message. */
  message(offset: number, content: number): void;
  /** The stream goes on from where it was. */
  resumed(): void;
  /** The server did what it must not do. */
  fault(text: string): void;
  /** The server closed the connection, with this code or without one. */
  closed(code: number | undefined): void;
}

/** Where no server answers, the next try comes after this. */
const retryMs = 30;
const dataField = Buffer.from('"data":');

/** A member that comes back by its cursor whenever its connection goes, and holds the server to P-22 and P-32. */
export class NoLossMember {
  /** Resolves with the first `joined`. */
  readonly joined: Promise<void>;
  readonly #dial: Dial;
  readonly #room: string;
  readonly #events: MemberEvents;
  readonly #prefix: Buffer;
  #connection: MemberConnection | undefined;
  #hasJoined: () => void = () => undefined;
  /** P-37; undefined before the first `joined`. */
  #epoch: string | undefined;
  #offset = 0;
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(room: string, dial: Dial, events: MemberEvents) {
    this.#dial = dial;
    this.#room = room;
    this.#events = events;
    this.#prefix = Buffer.from(`{"type":"message","room":${JSON.stringify(room)},"offset":`);
    this.joined = new Promise((resolve) => (this.#hasJoined = resolve));
    this.#open();
  }

  /** Destroys the socket and comes back at once. */
  cut(withReset: boolean): void {
    if (this.#isStopped) return;
    this.#connection?.cut(withReset);
    clearTimeout(this.#retry);
    this.#open();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    this.#connection?.cut(false);
  }

  #open(): void {
    const since = this.#epoch === undefined ? undefined : `${this.#epoch}:${this.#offset}`;
    this.#connection = this.#dial(since, {
      text: (bytes, start, end) => this.#text(bytes, start, end),
      ended: (code) => this.#ended(code),
    });
  }

  #ended(code: number | undefined): void {
    if (this.#isStopped) return;
    if (code !== undefined) this.#events.closed(code);
    this.#retry = setTimeout(() => this.#open(), retryMs);
  }

  #text(bytes: Buffer, start: number, end: number): void {
    const afterPrefix = start + this.#prefix.length;
    const isMessage =
      afterPrefix < end && bytes.compare(this.#prefix, 0, this.#prefix.length, start, afterPrefix) === 0;
    // Messages are read from their bytes where they look as expected, because 100,000 a second come here. Whatever looks
    // otherwise, the members of an object in another order included, is read as JSON.
    if (isMessage) {
      const dataAt = bytes.indexOf(dataField, afterPrefix) + dataField.length;
      if (dataAt < end) return this.#take(digits(bytes, afterPrefix), digits(bytes, dataAt));
    }
    this.#frame(JSON.parse(bytes.toString("utf8", start, end)) as JsonObject);
  }

  #frame(frame: JsonObject): void {
    switch (frame["type"]) {
      case "message":
        return this.#take(Number(frame["offset"]), Number(frame["data"]));
      case "joined":
        // Over SSE others may be listened to as well.
        return frame["room"] === this.#room ? this.#begin(frame) : undefined;
      case "ping":
        return this.#connection?.send({ type: "pong" });
      case "welcome":
      case "drain":
      case "pong":
        return undefined;
      default:
        return this.#events.fault(`unexpected ${JSON.stringify(frame)}`);
    }
  }

  #begin(frame: JsonObject): void {
    const [epoch = "", offset = ""] = String(frame["cursor"]).split(":");
    if (this.#epoch === undefined) {
      this.#epoch = epoch;
      this.#offset = Number(offset);
      return this.#hasJoined();
    }
    const wanted = `${this.#epoch}:${this.#offset}`;
    if (frame["recovered"] === true && frame["cursor"] === wanted) return this.#events.resumed();
    this.#events.fault(`resuming from ${wanted} gave ${JSON.stringify(frame)}`);
    this.#epoch = epoch;
    this.#offset = Number(offset);
  }

  #take(offset: number, content: number): void {
    this.#offset = offset;
    this.#events.message(offset, content);
  }
}

function digits(bytes: Buffer, start: number): number {
  let value = 0;
  for (let at = start; at < bytes.length; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}
