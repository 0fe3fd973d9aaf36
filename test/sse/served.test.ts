import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";
import { member, refusal, streamPath } from "./support/reader.ts";

const megabyte = 1_048_576;
const payload = "x".repeat(50_000);
const token = makeToken({ sub: "ann", rooms: ["**"] });

let server: TestServer;
let witness: Witness;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--limit", "requests_per_s=5000"])));
afterAll(() => endServer(server));
beforeEach(async () => void (witness = await Witness.of(server)));
afterEach(async () => {
  await witness.sees();
  witness.end();
});

async function raw(text: string): Promise<{ socket: Socket; text: () => string }> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  let got = "";
  socket.on("data", (bytes) => (got += bytes.toString("latin1"))).on("error", () => undefined);
  socket.write(text);
  return { socket, text: () => got };
}

function get(path: string, headers = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${server.host}\r\n${headers}\r\n`;
}

describe("a bad id at the running server", () => {
  it.each([
    { name: "control bytes", id: "1\u0001\u001b[2J" },
    { name: "a bare carriage return", id: "1\r2" },
    { name: "bytes over 127", id: "1\u00ff" },
    { name: "10 KB", id: `1${"~kq0v3c8mYt2n.e.1".repeat(600)}` },
  ])("$name: 400", async ({ id }) => {
    const { socket, text } = await raw(
      get(streamPath(["a"], { token }), `Last-Event-ID: ${id}\r\nConnection: close\r\n`),
    );
    await once(socket, "close");
    expect(text()).toMatch(/^HTTP\/1.1 400 /);
  });

  it.each([
    { name: "control bytes", id: "1\u0001\u001b[2J\r\nid: x" },
    { name: "10 KB", id: `1${"~kq0v3c8mYt2n.e.1".repeat(600)}` },
  ])("$name in the query: 400", async ({ id }) => {
    expect(await refusal(server.port, ["a"], { token, query: { last_event_id: id } })).toMatchObject({ status: 400 });
  });

  it("an id of 20 KB is too large a header: 431", async () => {
    const lastEventId = `1${"~kq0v3c8mYt2n.e.1".repeat(1_200)}`;
    expect(await refusal(server.port, ["a"], { token, lastEventId })).toMatchObject({ status: 431 });
  });

  it("garbage after the request ends the stream alone", async () => {
    const { socket, text } = await raw(get(streamPath(["a"], { token })));
    await expect.poll(text).toContain('"joined"');
    socket.write("\u0000\u0001 no HTTP\r\n\r\n");
    await once(socket, "close");
  });
});

describe("a stream that is not read while 10 MB a second come", () => {
  async function publishFor(ms: number, publisher: Peer, room: string): Promise<number[]> {
    const tookMs: number[] = [];
    const startedAt = performance.now();
    for (let n = 1; performance.now() - startedAt < ms; n++) {
      const sentAt = performance.now();
      publisher.send({ type: "publish", id: String(n), room, event: "e", data: payload });
      await publisher.until({ type: "message" });
      tookMs.push(performance.now() - sentAt);
      const dueInMs = startedAt + n * 5 - performance.now();
      if (dueInMs > 0) await new Promise((resolve) => setTimeout(resolve, dueInMs));
    }
    return tookMs.sort((a, b) => a - b);
  }

  it("is cut off, costs little memory, and others do not wait for it", { timeout: 30_000 }, async () => {
    const publisher = await connectAs(server, "bob");
    publisher.send({ type: "join", room: "stalled" });
    await publisher.expect({ type: "joined" });
    const usual = await publishFor(1_500, publisher, "stalled");
    const sockets = server.sockets();
    const { socket, text } = await raw(get(streamPath(["stalled"], { token })));
    await expect.poll(text).toContain('"joined"');
    socket.pause();
    const before = server.rssBytes();
    const stalled = await publishFor(3_000, publisher, "stalled");
    const logBytes = 600 * payload.length;
    expect(server.rssBytes() - before - logBytes).toBeLessThan(64 * megabyte);
    const p99 = (times: number[]): number => times[Math.floor(times.length * 0.99)]!;
    expect(p99(stalled)).toBeLessThan(2 * p99(usual) + 25);
    // Ended with 4200, and then cut, because it takes no end either.
    await expect.poll(() => server.sockets(), { timeout: 8_000 }).toBe(sockets);
    socket.destroy();
    publisher.destroy();
  });
});

describe("a server that is stopped", () => {
  it("tells its streams when to come back, and exits with 0", async () => {
    const own = await startServer(["--backend", "memory", "--drain-ms", "200"]);
    try {
      const reader = await member(own.port, ["a"], { token });
      const exit = own.stop();
      const { frame } = await reader.expect({ type: "drain", retry_after_ms: "$integer" });
      const closed = await reader.expect({ type: "closed", code: 1012 });
      expect(closed.retryMs).toBe(frame["retry_after_ms"]);
      await reader.ended();
      expect(await exit).toEqual({ code: 0, signal: null });
    } finally {
      await endServer(own);
    }
  });

  it("keeps no token in its log", async () => {
    await refusal(server.port, ["a"], { token: "bad.token.canary" });
    const reader = await member(server.port, ["a"], { token });
    reader.destroy();
    expect(server.output).not.toContain("canary");
    expect(server.output).not.toContain(token);
  });
});
