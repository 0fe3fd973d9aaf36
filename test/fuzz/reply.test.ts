import { describe, expect, it } from "vitest";
import type { Fault } from "./fault.ts";
import { judgeReply } from "./reply.ts";

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const limits = { message_bytes: 1, rooms: 1, requests_per_s: 1, dedupe_ms: 1 };
const welcome = { type: "welcome", v: 1, connection: "c", user: "ann", ping_ms: 1, server_time: 1, limits };
const joined = { type: "joined", room: "r", cursor: "e:4", replay: 0, members: 1, rights: [] };
const message = { type: "message", room: "r", offset: 5, event: "e", data: null, at: 1 };

function frames(...said: object[]): Buffer {
  return Buffer.concat([Buffer.from(upgraded), ...said.map((frame) => bytes(0x81, JSON.stringify(frame)))]);
}

function bytes(first: number, payload: string | Buffer): Buffer {
  const body = Buffer.from(payload as string);
  const head = body.length < 126 ? [first, body.length] : [first, 126, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from(head), body]);
}

function judge(reply: Buffer | string, speaks: "fanfare" | "app" = "fanfare"): Fault["kind"] | undefined {
  return judgeReply(Buffer.from(reply as string), { speaks, hasHead: false }, () => undefined)?.kind;
}

function answer(status: string, body: string, type = "application/json"): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

describe("what a server may say", () => {
  it.each<[string, Buffer | string]>([
    ["nothing", ""],
    ["an error of P-80", answer("400 Bad Request", '{"error":{"code":"bad_field","message":"m"}}')],
    ["two answers", answer("200 OK", "{}") + answer("204 No Content", "")],
    ["an answer in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
    ["a stream", answer("200 OK", `id: 1\ndata: ${JSON.stringify(welcome)}\n\n: \n\n`, "text/event-stream")],
    [
      "a line separator in a stream",
      answer("200 OK", `data: ${JSON.stringify({ ...welcome, connection: "\u2028" })}\n\n`, "text/event-stream"),
    ],
    ["frames in order", frames(welcome, joined, message, { ...message, offset: 6 }, { type: "left", room: "r" })],
    ["a skip over many", frames(welcome, joined, { type: "skip", room: "r", offset: 9 }, { ...message, offset: 10 })],
    ["a close", Buffer.concat([frames(welcome), bytes(0x88, Buffer.from([0x03, 0xea]))])],
  ])("%s", (_, reply) => {
    expect(judge(reply)).toBeUndefined();
  });
});

describe("what it may not", () => {
  it.each<[string, Buffer | string, Fault["kind"]]>([
    ["a status of 500", answer("500 Internal Server Error", ""), "status"],
    ["no HTTP", "SSH-2.0\r\n\r\n", "http"],
    ["a header with a control character", "HTTP/1.1 200 OK\r\nX: a\u0001\r\n\r\n", "http"],
    ["a header twice", "HTTP/1.1 200 OK\r\nDate: a\r\nDate: b\r\n\r\n", "http"],
    ["a length that is not its body's", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", "http"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na", "http"],
    ["an error of another shape", answer("400 Bad Request", '{"message":"m"}'), "body"],
    ["an internal error", answer("400 Bad Request", '{"error":{"code":"internal","message":"m"}}'), "body"],
    ["a body that is no JSON", answer("200 OK", "{"), "body"],
    ["a line that no stream has", answer("200 OK", "data\n\n", "text/event-stream"), "http"],
    ["a first frame that is none", frames(joined), "order"],
    ["a type that is unknown", frames(welcome, { type: "dance" }), "frame"],
    ["a field of the wrong type", frames(welcome, { ...joined, members: "1" }), "frame"],
    ["a field that is missing", frames(welcome, { type: "left" }), "frame"],
    ["a field that does not belong there", frames(welcome, { ...joined, token: "t" }), "frame"],
    ["an error that is internal", frames(welcome, { type: "error", code: "internal", message: "m" }), "frame"],
    ["a message before joined", frames(welcome, message), "order"],
    ["a message after left", frames(welcome, joined, { type: "left", room: "r" }, message), "order"],
    ["a message left out", frames(welcome, joined, { ...message, offset: 6 }), "order"],
    ["a message twice", frames(welcome, joined, message, message), "order"],
    ["text that is no UTF-8", Buffer.concat([frames(), bytes(0x81, Buffer.from([0xff]))]), "framing"],
    ["a binary frame", Buffer.concat([frames(welcome), bytes(0x82, "a")]), "framing"],
    ["a masked frame", Buffer.concat([frames(welcome), Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0])]), "framing"],
    ["a reserved bit", Buffer.concat([frames(welcome), bytes(0xc1, "{}")]), "framing"],
    ["a close code that is none", Buffer.concat([frames(welcome), bytes(0x88, Buffer.from([0, 1]))]), "close code"],
    ["frames after a close", Buffer.concat([frames(welcome), bytes(0x88, ""), bytes(0x89, "")]), "framing"],
  ])("%s", (_, reply, kind) => {
    expect(judge(reply)).toBe(kind);
  });
});
