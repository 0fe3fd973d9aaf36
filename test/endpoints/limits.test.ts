import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { Allowance } from "../../src/server/endpoints/allowance.ts";
import type { Closed, RawConnection } from "../../src/server/endpoints/connection.ts";
import { EndpointSocket } from "../../src/server/endpoints/socket.ts";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect } from "./plain.ts";

const mebibyte = 1_048_576;

describe("a reader that does not read", () => {
  it("is told of by send, and cut with 4200 at the bound, though the app never waits", async () => {
    const { hub, port } = await serve();
    const before = process.memoryUsage().rss;
    let closed: Closed | undefined;
    const answers = { roomy: 0, backed: 0, gone: 0 };
    hub.endpoint("/flood", async ({ socket }) => {
      const chunk = Buffer.alloc(65_536);
      for (let sent = 0; sent < 2_000; sent++) {
        if (socket.send(chunk)) answers.roomy++;
        else if (socket.isOpen) answers.backed++;
        else answers.gone++;
      }
      closed = socket.closed;
    });
    const peer = await connect(`ws://127.0.0.1:${port}/flood`);
    peer.socket.pause();
    await eventually(() => closed !== undefined);
    expect(closed?.code).toBe(4200);
    expect(answers.roomy).toBeGreaterThan(0);
    expect(answers.backed).toBeGreaterThan(0);
    expect(answers.gone).toBeGreaterThan(1_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * mebibyte);
    peer.socket.terminate();
    await eventually(() => hub.counts().connections === 0);
  });

  it("slows down an app that waits, and gets everything", async () => {
    const { hub, port } = await serve();
    let most = 0;
    let waited = 0;
    hub.endpoint("/file", async ({ socket }) => {
      for (let sent = 0; sent < 400; sent++) {
        const hasRoom = socket.send(Buffer.alloc(65_536, sent % 256));
        most = Math.max(most, socket.waitingBytes);
        if (hasRoom) continue;
        waited++;
        await socket.drained();
      }
    });
    const peer = await connect(`ws://127.0.0.1:${port}/file`);
    peer.socket.pause();
    await eventually(() => waited > 0);
    peer.socket.resume();
    for (let i = 0; i < 400; i++) expect((await peer.next()) as Buffer).toHaveLength(65_536);
    expect((await peer.closed()).code).toBe(1000);
    expect(most).toBeLessThan(mebibyte);
  });

  it("does not delay the others of its group", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/g", async ({ socket }) => {
      hub.group("all").join(socket);
      for await (const _ of socket);
    });
    const [slow, quick] = [await connect(`ws://127.0.0.1:${port}/g`), await connect(`ws://127.0.0.1:${port}/g`)];
    await eventually(() => hub.group("all").size === 2);
    slow.socket.pause();
    for (let i = 0; hub.group("all").size === 2; i++) {
      hub.group("all").broadcast(Buffer.alloc(65_536));
      await quick.next();
      expect(i).toBeLessThan(400);
    }
    hub.group("all").broadcast("end");
    expect(await quick.next()).toBe("end");
  });
});

describe("a peer that sends too much", () => {
  it("is read more slowly, and loses nothing", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({}, { clock });
    let got = 0;
    hub.endpoint("/r", { messagesPerS: 10 }, async ({ socket }) => {
      for await (const _ of socket) got++;
    });
    const peer = await connect(`ws://127.0.0.1:${port}/r`);
    for (let i = 0; i < 60; i++) peer.send("x");
    await eventually(() => got >= 21);
    peer.send("later");
    for (let s = 0; got < 61; s++) {
      expect(s).toBeLessThan(500);
      clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(peer.socket.readyState).toBe(peer.socket.OPEN);
  });

  it("by more than ten seconds' worth is closed with 4301", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/r", { messagesPerS: 1 }, async ({ socket }) => {
      for await (const _ of socket);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/r`);
    // In one write, so that it is read before reading can stop.
    const stream = (peer.socket as unknown as { _socket: Socket })._socket;
    stream.cork();
    for (let i = 0; i < 50; i++) peer.send("x");
    stream.uncork();
    expect((await peer.closed()).code).toBe(4301);
  });

  it("has a bucket of two seconds' worth that fills with time", () => {
    const allowance = new Allowance(10, 0);
    const rests = Array.from({ length: 22 }, () => allowance.take(0));
    expect(rests).toEqual([...Array(20).fill(0), 100, 200]);
    expect(allowance.take(10_000)).toBe(0);
  });

  it("while the app is busy is held back by the network, and not taken for dead", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({}, { clock });
    let release: (() => void) | undefined;
    let connection: RawConnection | undefined;
    let got = 0;
    hub.endpoint("/b", { messagesPerS: 100_000 }, async ({ socket }) => {
      connection = EndpointSocket.connectionOf(socket);
      for await (const _ of socket) {
        if (got++ === 0) await new Promise<void>((resolve) => (release = resolve));
      }
    });
    const peer = await connect(`ws://127.0.0.1:${port}/b`);
    const chunk = Buffer.alloc(60_000);
    for (let i = 0; i < 400; i++) peer.send(chunk);
    await eventually(() => connection?.held === true);
    // Long enough for all of it to come in, if it were read.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(connection?.inbox.size).toBeLessThan(50);
    clock.advance(60_000);
    expect([hub.counts().connections, peer.socket.bufferedAmount > 0]).toEqual([1, true]);
    release?.();
    await eventually(() => got === 400);
  });

  it("that began a message and does not end it is closed with 1008", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({}, { clock });
    hub.endpoint("/u", async ({ socket }) => {
      for await (const message of socket) socket.send(message);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/u`);
    peer.send("whole");
    await peer.next();
    peer.socket.send("part", { fin: false });
    peer.socket.ping();
    await once(peer.socket, "pong");
    clock.advance(9_000);
    expect((await peer.closed()).code).toBe(1008);
  });
});

describe("connections", () => {
  it("of endpoints and of the hub's protocol count together, in all and by address", async () => {
    const all = await serve({ limits: { connections: 2 } });
    all.hub.endpoint("/a", async ({ socket }) => {
      for await (const _ of socket);
    });
    const url = `ws://127.0.0.1:${all.port}/a`;
    await all.connect("ann");
    await connect(url);
    await expect(connect(url)).rejects.toThrow("status 503");
    const here = await serve({ limits: { connectionsPerAddress: 1 } });
    here.hub.endpoint("/a", async ({ socket }) => {
      for await (const _ of socket);
    });
    await connect(`ws://127.0.0.1:${here.port}/a`);
    await expect(connect(`ws://127.0.0.1:${here.port}/a`)).rejects.toThrow("status 429");
  });
});
