import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { http } from "../support/http.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connect, connectAs, Refused, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

const drainMs = 1_500;

let folder = "";
let server: TestServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fanfare-drain-"));
  server = await startServer([
    "--backend",
    `lmdb:${folder}`,
    "--drain-ms",
    String(drainMs),
    "--limit",
    "requests_per_s=5000",
  ]);
});
afterEach(async () => {
  await endServer(server);
  await rm(folder, { recursive: true, force: true });
});

async function member(user: string, fields: JsonObject = {}): Promise<Peer> {
  const peer = await connectAs(server, user);
  peer.send({ type: "join", room: "room", ...fields });
  await peer.expect({ type: "joined" });
  return peer;
}

describe("a drain (P-53)", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "on %s tells each client, closes with 1012 and ends with 0 in time",
    async (signal) => {
      const peers = await Promise.all(Array.from({ length: 20 }, (_, i) => member(`user ${i}`)));
      const startedAt = performance.now();
      const exit = server.signal(signal);
      const closedAt = peers.map(async (peer) => {
        const { retry_after_ms: retryAfterMs } = await peer.until({ type: "drain", retry_after_ms: "$integer" });
        const { code } = await peer.closed();
        return { retryAfterMs, code, atMs: performance.now() - startedAt };
      });
      const closes = await Promise.all(closedAt);
      expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1012]));
      expect(new Set(closes.map(({ retryAfterMs }) => retryAfterMs)).size).toBeGreaterThan(10);
      const times = closes.map(({ atMs }) => atMs);
      expect(Math.max(...times) - Math.min(...times), "spread").toBeGreaterThan(drainMs / 4);
      expect(await exit).toEqual({ code: 0, signal: null });
      expect(performance.now() - startedAt).toBeLessThan(drainMs + 2_000);
    },
  );

  it("refuses new connections with 503 and Retry-After, and is not ready", async () => {
    // With many to close one by one, the drain lasts long enough to look at it.
    const [peer] = await Promise.all(Array.from({ length: 30 }, (_, i) => member(`user ${i}`)));
    void server.stop();
    await peer!.until({ type: "drain" });
    expect((await http(`http://${server.host}/readyz`)).status).toBe(503);
    expect((await http(`http://${server.host}/healthz`)).status).toBe(200);
    const refused = await connect(server, { query: { token: makeToken({ sub: "bob" }) } }).catch(
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(Refused);
    expect(refused).toMatchObject({
      status: 503,
      headers: { "retry-after": expect.stringMatching(/^\d+$/) as string },
    });
  });

  it("answers every request that was read, and what it acknowledged is on disk", async () => {
    const peer = await member("ann");
    let sent = 0;
    const publishing = setInterval(() => {
      for (let i = 0; i < 10; i++)
        peer.send({
          type: "publish",
          id: String(++sent),
          key: `k${sent}`,
          room: "room",
          event: "e",
          data: sent,
          echo: false,
        });
    }, 10);
    await peer.until({ type: "ack", re: "50" });
    const exit = server.stop();
    await peer.closed();
    clearInterval(publishing);
    const answers = peer.pending().filter((frame) => frame["type"] === "ack" || frame["type"] === "error");
    expect(answers.filter((frame) => frame["type"] === "error")).toEqual([]);
    const acked = Number(answers.at(-1)?.["re"]);
    expect(acked).toBeGreaterThan(50);
    expect((await exit).code).toBe(0);

    await server.start();
    const again = await connectAs(server, "ann");
    again.send({ type: "join", room: "room", history: 1 });
    const joined = await again.expect({ type: "joined", replay: 1 });
    const last = await again.expect({ type: "message" });
    expect(Number(last["offset"])).toBeGreaterThanOrEqual(acked);
    expect(last["data"]).toBe(last["offset"]);
    expect(String(joined["cursor"])).toMatch(/:\d+$/);
    again.destroy();
  });

  it("with nobody there ends at once", async () => {
    const startedAt = performance.now();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it("ends in time where a client does not answer its close", async () => {
    const peer = await member("ann");
    peer.socket.pause();
    const startedAt = performance.now();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedAt).toBeLessThan(drainMs + 2_000);
  });
});
