import type { JsonObject } from "../../../src/protocol/json.ts";
import { frameBytes } from "../../support/raw.ts";
import type { Mangle } from "../link.ts";

/** What a frame becomes on its way: none, itself, or several. One for each connection. */
type Change = () => (frame: JsonObject, text: string) => string[];

const every = 15;
const headEnd = Buffer.from("\r\n\r\n");

function everyMessage(change: (text: string, held: string[]) => string[]): Change {
  return () => {
    const held: string[] = [];
    let count = 0;
    return (frame, text) => {
      if (frame["type"] !== "message") return [text];
      if (held.length > 0) return [text, ...held.splice(0)];
      return ++count % every === 0 ? change(text, held) : [text];
    };
  };
}

export type FrameBug = "lost" | "swapped" | "doubled" | "tail" | "ghost";

const changes: Readonly<Record<FrameBug, Change>> = {
  lost: everyMessage(() => []),
  swapped: everyMessage((text, held) => {
    held.push(text);
    return [];
  }),
  doubled: everyMessage((text) => [text, text]),
  tail: () => {
    let count = 0;
    return (frame, text) => (frame["type"] === "message" && ++count > every ? [] : [text]);
  },
  ghost: () => (frame, text) => (frame["type"] === "presence" && "left" in frame ? [] : [text]),
};

/** A server whose frames are wrong in this way. */
export function planted(bug: FrameBug): Mangle {
  return (direction) => {
    if (direction === "up") return (bytes) => bytes;
    const change = changes[bug]();
    let rest: Buffer = Buffer.alloc(0);
    let isFramed: boolean | undefined;
    return (bytes) => {
      if (isFramed === false) return bytes;
      rest = Buffer.concat([rest, bytes]);
      const out: Buffer[] = [];
      if (isFramed === undefined) {
        const end = rest.indexOf(headEnd);
        if (end === -1) return Buffer.alloc(0);
        isFramed = rest.subarray(0, 12).toString() === "HTTP/1.1 101";
        if (!isFramed) return rest;
        out.push(rest.subarray(0, end + headEnd.length));
        rest = rest.subarray(end + headEnd.length);
      }
      for (let frame = split(rest); frame !== undefined; frame = split(rest)) {
        out.push(...changed(frame, change));
        rest = rest.subarray(frame.whole.length);
      }
      return Buffer.concat(out);
    };
  };
}

interface Split {
  readonly opcode: number;
  readonly whole: Buffer;
  readonly payload: Buffer;
}

/** The first frame, where it is whole. A server does not mask. */
function split(bytes: Buffer): Split | undefined {
  const short = bytes[1] ?? 0;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < start + length) return undefined;
  const whole = bytes.subarray(0, start + length);
  return { opcode: (bytes[0] ?? 0) & 0x0f, whole, payload: whole.subarray(start) };
}

function changed({ opcode, whole, payload }: Split, change: ReturnType<Change>): Buffer[] {
  if (opcode !== 1) return [whole];
  const text = payload.toString();
  return change(JSON.parse(text) as JsonObject, text).map((one) => frameBytes(one, { masked: false }));
}

/** A server that disconnects the revoked and lets them in again. */
export const unrevoking: Mangle = (direction) => (bytes) => {
  if (direction === "down" || !bytes.includes("?revoke=true HTTP")) return bytes;
  return Buffer.from(bytes.toString("latin1").replace("?revoke=true HTTP", " HTTP"), "latin1");
};

/** A server that says that a user is revoked, and does nothing: it revokes somebody whom nobody knows. */
export const unheeding: Mangle = (direction) => (bytes) => {
  if (direction === "down" || !bytes.includes("?revoke=true HTTP")) return bytes;
  return Buffer.from(bytes.toString("latin1").replace("/users/doomed-", "/users/nobody-"), "latin1");
};
