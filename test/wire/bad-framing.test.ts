import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { frameBytes, rawConnectAs, type FrameOptions, type RawPeer } from "../support/raw.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { http } from "../support/http.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

const megabyte = 1_048_576;

let server: TestServer;
let witness: Witness;
let peer: RawPeer;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--limit", "grace_ms=0"])));
afterAll(() => endServer(server));
beforeEach(async () => {
  witness = await Witness.of(server);
  peer = await rawConnectAs(server, makeToken({ sub: "ann", rooms: ["**"] }));
});
afterEach(async () => {
  peer.destroy();
  await witness.sees();
  witness.end();
});

const ping = '{"type":"ping","id":"1"}';
const closeWith = (code: number): Buffer => Buffer.from([code >> 8, code & 0xff]);

describe("lawful framing passes", () => {
  it("a message in three fragments, a control frame between them", async () => {
    peer.frame(ping.slice(0, 5), { fin: false });
    peer.frame("hi", { opcode: 9 });
    peer.frame(ping.slice(5, 9), { fin: false, opcode: 0 });
    peer.frame(ping.slice(9), { opcode: 0 });
    const opcodes = [await peer.next(), await peer.next()].map(({ opcode }) => opcode);
    expect(new Set(opcodes)).toEqual(new Set([1, 10]));
  });

  it("a close is answered with its code", async () => {
    peer.frame(closeWith(1000), { opcode: 8 });
    expect(await peer.closeCode()).toBe(1000);
    await peer.ended();
  });

  it("a half-closed connection ends", async () => {
    peer.socket.end();
    await peer.ended();
    expect(peer.isEnded).toBe(true);
  });
});

const unlawful: { name: string; payload: string | Buffer; options: FrameOptions; code: number }[] = [
  { name: "an unmasked frame", payload: ping, options: { masked: false }, code: 1002 },
  { name: "the bit RSV1", payload: ping, options: { rsv: 4 }, code: 1002 },
  { name: "the bit RSV2", payload: ping, options: { rsv: 2 }, code: 1002 },
  { name: "the bit RSV3", payload: ping, options: { rsv: 1 }, code: 1002 },
  { name: "opcode 3", payload: ping, options: { opcode: 3 }, code: 1002 },
  { name: "opcode 11", payload: "", options: { opcode: 11 }, code: 1002 },
  { name: "a stray continuation", payload: ping, options: { opcode: 0 }, code: 1002 },
  { name: "a ping of 126 bytes", payload: "x".repeat(126), options: { opcode: 9 }, code: 1002 },
  { name: "a ping in fragments", payload: "x", options: { opcode: 9, fin: false }, code: 1002 },
  { name: "a close of one byte", payload: "x", options: { opcode: 8 }, code: 1002 },
  { name: "a close with 999", payload: closeWith(999), options: { opcode: 8 }, code: 1002 },
  { name: "a close with 1005", payload: closeWith(1005), options: { opcode: 8 }, code: 1002 },
  { name: "invalid UTF-8", payload: Buffer.from([0x7b, 0xff, 0x7d]), options: {}, code: 1007 },
  { name: "a surrogate in UTF-8", payload: Buffer.from([0xed, 0xa0, 0x80]), options: {}, code: 1007 },
  { name: "a reason of invalid UTF-8", payload: Buffer.from([0x03, 0xe8, 0xff]), options: { opcode: 8 }, code: 1007 },
  { name: "binary", payload: ping, options: { opcode: 2 }, code: 1003 },
];

/** How many connections the server says ended with this code. */
async function closesBy(code: number): Promise<number> {
  const { text } = await http(`http://${server.host}/metrics`);
  return Number(new RegExp(`^fanfare_closes_total\\{code="${code}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}

describe("unlawful framing closes", () => {
  it.each(unlawful)("$name: $code, and is counted so", async ({ payload, options, code }) => {
    const before = await closesBy(code);
    peer.frame(payload, options);
    expect(await peer.closeCode()).toBe(code);
    // Where no answer comes, the server waits as long as this test does.
    peer.frame(closeWith(code), { opcode: 8 });
    await peer.ended();
    expect(await closesBy(code)).toBe(before + 1);
  });

  it("a new message inside a fragmented one: 1002", async () => {
    peer.frame("{", { fin: false });
    peer.frame(ping);
    expect(await peer.closeCode()).toBe(1002);
  });

  it.each([65_537, 2 ** 31, 2 ** 40])("%d bytes, declared and never sent: 1009 at once", async (declaredBytes) => {
    peer.write(frameBytes("", { declaredBytes }));
    expect(await peer.closeCode()).toBe(1009);
  });

  it("a length summed over fragments: 1009 before the end comes, and is counted so", async () => {
    const before = await closesBy(1009);
    for (let i = 0; i < 9; i++) peer.frame("x".repeat(8_192), { fin: false, opcode: i === 0 ? 1 : 0 });
    expect(await peer.closeCode()).toBe(1009);
    expect(await closesBy(1009)).toBe(before + 1);
  });
});

describe("what is lawful one by one but too much", () => {
  it("a message in 100,000 fragments: 1008, memory bounded", async () => {
    const before = server.rssBytes();
    peer.frame("{", { fin: false });
    const batch = Buffer.concat(Array.from({ length: 1_000 }, () => frameBytes("", { fin: false, opcode: 0 })));
    for (let i = 0; i < 100 && !peer.isEnded; i++) peer.write(batch);
    expect(await peer.closeCode(10_500)).toBe(1008);
    expect(server.rssBytes() - before).toBeLessThan(64 * megabyte);
  });

  it("a last fragment that never comes: 1008 within 10 s", async () => {
    peer.frame("{", { fin: false });
    expect(await peer.closeCode(10_500)).toBe(1008);
  });

  it("a frame of which nothing but its first byte comes: 1008 within 10 s", async () => {
    peer.write(frameBytes(ping).subarray(0, 1));
    expect(await peer.closeCode(10_500)).toBe(1008);
  });

  it("a last fragment that never comes, with pings in between: 1008 within 10 s", async () => {
    peer.frame("{", { fin: false });
    const pinging = setInterval(() => peer.frame("", { opcode: 9 }), 500);
    expect(await peer.closeCode(10_500).finally(() => clearInterval(pinging))).toBe(1008);
  });

  it("a flood of pings: 1008", async () => {
    const batch = Buffer.concat(Array.from({ length: 1_000 }, () => frameBytes("x", { opcode: 9 })));
    for (let i = 0; i < 100 && !peer.isEnded; i++) peer.write(batch);
    expect(await peer.closeCode()).toBe(1008);
  });

  it("a flood of pongs does no harm", async () => {
    const before = server.rssBytes();
    const batch = Buffer.concat(Array.from({ length: 1_000 }, () => frameBytes("x", { opcode: 10 })));
    for (let i = 0; i < 50 && !peer.isEnded; i++) peer.write(batch);
    peer.frame(ping);
    await peer.next().catch(() => undefined);
    expect(server.rssBytes() - before).toBeLessThan(64 * megabyte);
  });

  it("bytes that come one at a time are read", async () => {
    for (const byte of frameBytes(ping)) peer.write(Buffer.from([byte]));
    expect(await peer.nextJson()).toMatchObject({ type: "pong", re: "1" });
  });
});
