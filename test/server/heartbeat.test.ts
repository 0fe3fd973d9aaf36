import { connect as connectTcp, type Socket } from "node:net";
import { once } from "node:events";
import { onTestFinished, describe, expect, it } from "vitest";
import type { Peer } from "../support/socket.ts";
import { FakeClock } from "./support/clock.ts";
import { eventually, open, serve, type ConnectOptions } from "./support/hub.ts";

const dayMs = 86_400_000;
const sweepMs = 250;

async function served(options: Parameters<typeof serve>[0] = {}) {
  const clock = new FakeClock();
  return { clock, ...(await serve(options, { clock })) };
}

/** Lets time go by in steps, with a moment after each for what was sent to arrive and be answered. */
async function pass(clock: FakeClock, ms: number, stepMs = 5_000): Promise<void> {
  for (let gone = 0; gone < ms; gone += stepMs) {
    clock.advance(Math.min(stepMs, ms - gone));
    await arrived();
  }
}

/** Both ends are in this process: what was sent arrives and is answered within a few turns of its event loop. */
async function arrived(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 0));
}

const typesOf = (peer: Peer): unknown[] => peer.pending().map((frame) => frame["type"]);

describe("the heartbeat (P-50)", () => {
  const quiet: ConnectOptions = { autoPong: false };

  it("pings every 25 s on fanfare.v1", async () => {
    const { clock, connect } = await served();
    const ann = await connect("ann");
    const pings = () => ann.log.filter((text) => text === '{"type":"ping"}').length;
    await pass(clock, 24_000);
    expect(pings()).toBe(0);
    await pass(clock, 1_000 + sweepMs);
    await eventually(() => pings() === 1);
    await pass(clock, 75_000);
    await eventually(() => pings() === 4);
    expect(ann.isOpen).toBe(true);
  });

  it("pings as WebSocket does where no protocol was chosen", async () => {
    const { clock, connect } = await served();
    const ann = await connect("ann", { protocols: [] });
    let pings = 0;
    ann.socket.on("ping", () => pings++);
    await pass(clock, 60_000);
    await eventually(() => pings === 2);
    expect(typesOf(ann)).toEqual([]);
    await pass(clock, 60_000);
    expect(ann.isOpen).toBe(true);
  });

  it("closes with 4201 who says nothing for its time and 10 s more", async () => {
    const { clock, connect } = await served();
    const ann = await connect("ann", quiet);
    await pass(clock, 35_000);
    expect(ann.isOpen).toBe(true);
    await pass(clock, 2 * sweepMs);
    await ann.expectClose(4201);
  });

  it.each<[string, (peer: Peer) => void]>([
    ["a pong", (peer) => peer.send({ type: "pong" })],
    ["any frame", (peer) => peer.send({ type: "leave", room: "r" })],
    ["a frame that is no JSON", (peer) => peer.text("hm")],
    ["a WebSocket ping", (peer) => peer.socket.ping()],
  ])("takes %s as a sign of life", async (_, says) => {
    const { clock, hub, connect } = await served();
    const ann = await connect("ann", quiet);
    for (let i = 0; i < 4; i++) {
      await pass(clock, 30_000, 10_000);
      says(ann);
      await arrived();
    }
    expect([ann.isOpen, hub.counts().connections]).toEqual([true, 1]);
  });

  it("has no timer where nobody is connected", async () => {
    const { clock, hub, connect } = await served();
    expect(clock.timers).toBe(0);
    const ann = await connect("ann");
    expect(clock.timers).toBe(1);
    await ann.close();
    await eventually(() => hub.counts().connections === 0);
    clock.advance(sweepMs);
    expect(clock.timers).toBe(0);
  });
});

/** A client's frame by hand: masked with zeros, so that its payload stays readable. */
function clientFrame(text: string, { fin = true, opcode = 1, claim = text.length } = {}): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | claim, 0, 0, 0, 0]), payload]);
}

/** A plain socket past its handshake; `closeCode` reads the close frame that it gets. */
async function raw(port: number): Promise<{ socket: Socket; closeCode: () => number | undefined }> {
  const socket = connectTcp(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let read = Buffer.alloc(0);
  socket.on("data", (data) => (read = Buffer.concat([read, data]))).on("error", () => undefined);
  socket.write(
    "GET /ws?token=ann HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await once(socket, "data");
  await eventually(() => read.includes("welcome"));
  const closeCode = (): number | undefined => {
    const at = read.indexOf(0x88);
    return at === -1 || read.length < at + 4 ? undefined : read.readUInt16BE(at + 2);
  };
  return { socket, closeCode };
}

describe("a message that does not end", () => {
  // These also tell whether `ws` still names its receiver's fields as `isMidMessage` reads them.
  it.each<[string, (socket: Socket) => void]>([
    ["whose last fragment never comes", (socket) => socket.write(clientFrame("part", { fin: false }))],
    ["whose payload stops in the middle", (socket) => socket.write(clientFrame("part", { claim: 100 }))],
    ["whose header stops in the middle", (socket) => socket.write(Buffer.from([0x81, 0xfe, 0]))],
  ])("%s is closed with 1008 within 10 s", async (_, begin) => {
    const { clock, port } = await served();
    const { socket, closeCode } = await raw(port);
    begin(socket);
    await arrived();
    await pass(clock, 7_000, 250);
    expect(closeCode()).toBeUndefined();
    await pass(clock, 2_750, 250);
    await eventually(() => closeCode() !== undefined);
    expect(closeCode()).toBe(1008);
  });

  it("is closed though control frames come in between", async () => {
    const { clock, port } = await served();
    const { socket, closeCode } = await raw(port);
    socket.write(clientFrame("part", { fin: false }));
    for (let i = 0; i < 10; i++) {
      socket.write(clientFrame("", { opcode: 9 }));
      await pass(clock, 1_000, 250);
    }
    await eventually(() => closeCode() !== undefined);
    expect(closeCode()).toBe(1008);
  });

  it("is none where each of many messages ends in time", async () => {
    const { clock, hub, port } = await served();
    const { socket, closeCode } = await raw(port);
    for (let i = 0; i < 20; i++) {
      socket.write(clientFrame('{"type":', { fin: false }));
      await pass(clock, 1_000, 500);
      socket.write(clientFrame('"ping"}', { opcode: 0 }));
    }
    await arrived();
    expect([closeCode(), hub.counts().connections]).toEqual([undefined, 1]);
  });
});

describe("a token's end (P-17)", () => {
  it("is announced 30 s before, and closes with 4100", async () => {
    const { clock, connect } = await served();
    const ann = await connect({ user: "ann", expiresAt: clock.now() + 120_000 });
    await pass(clock, 89_000, 1_000);
    expect(typesOf(ann)).toEqual([]);
    await pass(clock, 1_250, 250);
    expect(await ann.next()).toEqual({ type: "reauth", within_ms: expect.any(Number) });
    await pass(clock, 28_000, 1_000);
    expect(typesOf(ann)).toEqual([]);
    await pass(clock, 2_000, 250);
    await ann.expectClose(4100);
  });

  it("is announced at once where less is left, with the time that is", async () => {
    const { clock, connect } = await served();
    const ann = await connect({ user: "ann", expiresAt: clock.now() + 10_250 });
    await pass(clock, 250, 250);
    await ann.expect({ type: "reauth", within_ms: 10_000 });
  });

  it("moves with a new token, and is announced anew", async () => {
    const { clock, connect } = await served();
    const ann = await connect({ user: "ann", expiresAt: clock.now() + 40_000 });
    await pass(clock, 15_000, 1_000);
    await ann.expect({ type: "reauth" });
    const expiresAt = clock.now() + 60_000;
    ann.send({ type: "auth", id: "1", token: JSON.stringify({ user: "ann", expiresAt }) });
    await ann.expect({ type: "authed", re: "1", expires_at: expiresAt });
    await pass(clock, 29_000, 1_000);
    expect(typesOf(ann)).toEqual([]);
    await pass(clock, 2_000, 1_000);
    await ann.expect({ type: "reauth" });
  });

  it("holds as it was where the new token is bad", async () => {
    const { clock, connect } = await served();
    const ann = await connect({ user: "ann", expiresAt: clock.now() + 20_000 });
    ann.send({ type: "auth", id: "1", token: "bad" });
    await ann.until({ type: "error", re: "1", code: "unauthorized" });
    await pass(clock, 20_250, 1_000);
    await ann.expectClose(4100);
  });
});

describe("the wait for the first auth (P-14)", () => {
  it("ends with 4001 after 10 s", async () => {
    const { clock, port } = await served();
    const ann = await open(port);
    await ann.expect({ type: "auth_required", within_ms: 10_000 });
    await pass(clock, 9_750, 250);
    expect(ann.isOpen).toBe(true);
    await pass(clock, 500, 250);
    await ann.expect({ type: "error", code: "unauthorized" });
    await ann.expectClose(4001);
  });
});

describe("a wall clock that jumps (invariant 14)", () => {
  it.each([dayMs, -dayMs])("by %i ms moves no heartbeat, no deadline and no grace", async (jumpMs) => {
    const { clock, hub, port, connect, member } = await served();
    const silent = await connect("ann", { autoPong: false });
    const waiting = await open(port);
    await waiting.expect({ type: "auth_required" });
    const gone = await member("cyd", "r");
    gone.destroy();
    await eventually(() => hub.counts().connections === 2);
    clock.jump(jumpMs);
    await pass(clock, 9_000, 250);
    expect([silent.isOpen, waiting.isOpen, hub.room("r").here.size]).toEqual([true, true, 1]);
    await pass(clock, 1_500, 250);
    await waiting.expectClose(4001);
    expect(hub.room("r").here.size).toBe(0);
    await pass(clock, 24_000, 1_000);
    expect(silent.isOpen).toBe(true);
    clock.jump(jumpMs);
    await pass(clock, 2_000, 250);
    await silent.expectClose(4201);
  });

  it("forward ends a token that is over by it, and backward gives it that time again", async () => {
    const { clock, connect } = await served();
    const [ann, bob] = [await connect({ user: "ann", expiresAt: clock.now() + dayMs / 2 }), await connect("bob")];
    clock.jump(-dayMs);
    await pass(clock, 500, 250);
    expect([ann.isOpen, bob.isOpen]).toEqual([true, true]);
    clock.jump(2 * dayMs);
    await pass(clock, 250, 250);
    await ann.expectClose(4100);
    expect(bob.isOpen).toBe(true);
  });
});
