import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rawConnect, rawConnectAs, upgradeText } from "../support/raw.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

const pingMs = 300;
const silenceMs = 10_000;

let server: TestServer;
beforeAll(
  async () =>
    void (server = await startServer([
      "--backend",
      "memory",
      "--limit",
      `ping_ms=${pingMs}`,
      "--limit",
      "grace_ms=300",
    ])),
);
afterAll(() => endServer(server));

const token = (): string => makeToken({ sub: "ann", rooms: ["**"] });

describe.concurrent("heartbeats (P-50)", () => {
  it("come as ping every ping_ms on fanfare.v1", async () => {
    const peer = await connectAs(server, "ann", {}, { autoPong: false });
    await peer.expect({ type: "ping" });
    const startedAt = performance.now();
    await peer.expect({ type: "ping" });
    await peer.expect({ type: "ping" });
    const tookMs = performance.now() - startedAt;
    expect(tookMs).toBeGreaterThan(pingMs);
    expect(tookMs).toBeLessThan(4 * pingMs);
    peer.destroy();
  });

  it("come as WebSocket pings where no subprotocol was offered", async () => {
    const peer = await rawConnect(server);
    peer.write(upgradeText(server, { path: `/ws?token=${token()}`, headers: { "Sec-WebSocket-Protocol": undefined } }));
    expect((await peer.head()).text).not.toMatch(/sec-websocket-protocol/i);
    expect(await peer.nextJson()).toMatchObject({ type: "welcome" });
    expect((await peer.next()).opcode).toBe(9);
    peer.destroy();
  });

  it("find a peer that is silent, and close with 4201", { timeout: 20_000 }, async () => {
    const peer = await rawConnectAs(server, token());
    const startedAt = performance.now();
    expect(await peer.closeCode(silenceMs + 4 * pingMs + 1_000)).toBe(4201);
    expect(performance.now() - startedAt).toBeGreaterThan(silenceMs);
    peer.destroy();
  });

  it(
    "find a peer that answers nothing and reads nothing, whose end of the connection is just dropped",
    { timeout: 20_000 },
    async () => {
      const peer = await rawConnectAs(server, token());
      const watcher = await connectAs(server, "watcher");
      watcher.send({ type: "join", room: "half-open", presence: true });
      await watcher.expect({ type: "joined" });
      peer.frame({ type: "join", room: "half-open" });
      await watcher.expect({ type: "presence", joined: [{ user: "ann" }] });
      peer.stall();
      // The close with 4201 starts the grace (P-41), which is short here.
      const gone = await watcher
        .until({ type: "presence", left: [{ user: "ann" }] }, new Map(), silenceMs + 10 * pingMs)
        .catch(() => undefined);
      expect(gone).toBeDefined();
      watcher.destroy();
      peer.destroy();
    },
  );

  it("count any inbound frame as life", { timeout: 20_000 }, async () => {
    const peer = await rawConnectAs(server, token());
    const living = setInterval(() => peer.frame("", { opcode: 10 }), 2_000);
    const code = await peer.closeCode(silenceMs + 2_000).catch(() => "still open");
    clearInterval(living);
    expect(code).toBe("still open");
    peer.destroy();
  });
});
