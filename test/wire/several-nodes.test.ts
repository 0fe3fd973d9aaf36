import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { startNats } from "../support/engines/nats.ts";
import { startRedis } from "../support/engines/redis.ts";
import { http } from "../support/http.ts";
import { endServer, startServer, testApiKey, type TestServer } from "../support/server.ts";
import { connect, connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Link } from "../torture/link.ts";

let nodes: TestServer[] = [];

/** Three servers on one engine, for the tests of one block. */
function three(start: () => Promise<{ url: string; stop: () => Promise<void> }>): void {
  let engine: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    engine = await start();
    const flags = ["--backend", engine.url, "--limit", "connections_per_user=4"];
    nodes = await Promise.all([1, 2, 3].map(() => startServer(flags)));
  }, 30_000);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => endServer(node)));
    await engine.stop();
  });
}

const engines = {
  Redis: startRedis,
  NATS: startNats,
  "NATS without a log": async () => {
    const { url, stop } = await startNats();
    return { url: url.replace("nats:", "nats+core:"), stop };
  },
};

async function member(node: number, user: string, room: string, fields: JsonObject = {}): Promise<Peer> {
  const peer = await connectAs(nodes[node]!, user);
  peer.send({ type: "join", room, ...fields });
  await peer.expect({ type: "joined", room });
  return peer;
}

async function ask(node: number, method: string, path: string): Promise<{ status: number; json: unknown }> {
  const headers = { authorization: `Bearer ${testApiKey}` };
  const { status, text } = await http(`http://${nodes[node]!.host}${path}`, { method, headers });
  return { status, json: text === "" ? undefined : JSON.parse(text) };
}

describe.each(Object.entries(engines))("three servers on one %s", (_name, start) => {
  three(start);

  it("show a user on three of them as one, and tell it whole on each", async () => {
    const watcher = await member(0, "watcher", "p", { presence: true });
    const devices: Peer[] = [];
    for (const node of [0, 1, 2]) devices.push(await member(node, "ann", "p", { data: { n: node } }));
    for (const node of [0, 1, 2]) {
      expect((await ask(node, "GET", "/v1/rooms/p/members")).json).toMatchObject({ members: 2 });
      expect((await ask(node, "GET", "/v1/rooms?prefix=p")).json).toEqual({
        rooms: [{ room: "p", members: 2 }],
        more: false,
      });
    }
    for (const device of devices) device.send({ type: "leave", room: "p" });
    await watcher.until({ type: "presence", left: [{ user: "ann" }], members: 1 });
    const told = watcher.log.map((text) => JSON.parse(text) as JsonObject).filter(({ type }) => type === "presence");
    expect(told.filter(({ joined, left }) => joined !== undefined || left !== undefined)).toHaveLength(2);
  });

  it("take a user out of a room, and off all of them, from any", async () => {
    const peers = [await member(0, "bob", "ops"), await member(1, "bob", "ops")];
    expect((await ask(2, "DELETE", "/v1/rooms/ops/members/bob")).status).toBe(204);
    for (const peer of peers) await peer.until({ type: "left", room: "ops", reason: "removed" });
    expect((await ask(2, "DELETE", "/v1/users/bob/connections?revoke=true")).status).toBe(204);
    for (const peer of peers) await peer.expectClose(4003);
  });

  it("let somebody in at once where the last member on another has just left", async () => {
    const [leaving, coming] = [await connectAs(nodes[1]!, "fay"), await connectAs(nodes[0]!, "guy")];
    const tookMs: number[] = [];
    for (let n = 0; n < 5; n++) {
      leaving.send({ type: "join", room: `left ${n}` });
      await leaving.expect({ type: "joined", room: `left ${n}` });
      leaving.send({ type: "leave", room: `left ${n}` });
      await leaving.expect({ type: "left", room: `left ${n}` });
      const since = performance.now();
      coming.send({ type: "join", room: `left ${n}` });
      await coming.expect({ type: "joined", room: `left ${n}`, members: 1 });
      tookMs.push(performance.now() - since);
    }
    // The wait for an answer that does not come is 300 ms; a busy machine is not slow most of the time.
    expect(tookMs.toSorted((x, y) => x - y)[2]).toBeLessThan(150);
  });

  it("count a user's connections together", async () => {
    for (const node of [0, 1, 2, 0]) await connectAs(nodes[node]!, "cyd");
    const refused = await connect(nodes[1]!, { query: { token: makeToken({ sub: "cyd" }) } });
    await refused.expectClose(4300);
  });
});

describe("three servers, one of which is killed", () => {
  three(startRedis);

  it("lose its users within 20 s, once", async () => {
    const watcher = await member(0, "watcher", "k", { presence: true });
    const other = await member(1, "eve", "k", { presence: true });
    await member(2, "dan", "k");
    await watcher.until({ type: "presence", members: 3 });
    const killedAt = performance.now();
    process.kill(nodes[2]!.pid, "SIGKILL");
    for (const peer of [watcher, other]) {
      await peer.until({ type: "presence", left: [{ user: "dan" }], members: 2 }, new Map(), 20_000);
    }
    expect(performance.now() - killedAt).toBeGreaterThan(9_000);
    expect((await ask(1, "GET", "/v1/rooms/k/members")).json).toMatchObject({ members: 2 });
  }, 30_000);
});

describe.each(Object.entries({ Redis: startRedis, NATS: startNats }))(
  "a server that was cut off from %s",
  (_name, start) => {
    it("delivers to nobody who was revoked meanwhile", async () => {
      const engine = await start();
      const { port, protocol } = new URL(engine.url);
      const way = new Link(() => ({ host: `127.0.0.1:${port}`, port: Number(port) }));
      await way.open();
      const url = `${protocol}//${way.address.host}`;
      nodes = await Promise.all([startServer(["--backend", engine.url]), startServer(["--backend", url])]);
      const users = ["ann", "bob", "cyd", "dan"];
      const peers = await Promise.all(users.map((user) => member(1, user, "c")));
      const stays = await member(1, "eve", "c");
      way.hold("up");
      way.hold("down");
      for (const user of users)
        expect((await ask(0, "DELETE", `/v1/users/${user}/connections?revoke=true`)).status).toBe(204);
      for (let i = 0; i < 20; i++) await publish(i);
      // What is held is never let go: those connections are gone, and others are made.
      way.forget();
      way.letGo();
      way.reset();
      await stays.until({ type: "message", data: 19 }, new Map(), 20_000);
      for (const peer of peers) {
        await peer.closed();
        expect(peer.log.filter((text) => text.includes('"message"'))).toEqual([]);
      }
      await Promise.all(nodes.map((node) => endServer(node)));
      way.close();
      await engine.stop();
    }, 60_000);
  },
);

async function publish(data: number): Promise<void> {
  const headers = { authorization: `Bearer ${testApiKey}`, "content-type": "application/json" };
  const body = JSON.stringify({ event: "said", data });
  const { status } = await fetch(`http://${nodes[0]!.host}/v1/rooms/c/messages`, { method: "POST", headers, body });
  expect(status).toBe(200);
}
