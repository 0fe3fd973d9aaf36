import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { type NatsServer, startNats } from "../support/engines/nats.ts";
import { http } from "../support/http.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs, type Peer } from "../support/socket.ts";

let engine: NatsServer;
beforeAll(async () => {
  engine = await startNats();
});
afterAll(() => engine.stop());

/** Two servers on one NATS, for the tests of one block. */
function pair(backend: () => string): { one: () => TestServer; two: () => TestServer } {
  let servers: TestServer[] = [];
  beforeAll(async () => {
    const flags = ["--backend", backend(), "--limit", "requests_per_s=5000"];
    servers = await Promise.all([startServer(flags), startServer(flags)]);
  });
  afterAll(async () => {
    await Promise.all(servers.map(endServer));
  });
  return { one: () => servers[0]!, two: () => servers[1]! };
}

async function join(on: TestServer, user: string, room: string, fields: JsonObject = {}): Promise<[Peer, JsonObject]> {
  const peer = await connectAs(on, user);
  peer.send({ type: "join", room, ...fields });
  return [peer, await peer.expect({ type: "joined", room })];
}

function publish(peer: Peer, room: string, n: number): void {
  peer.send({ type: "publish", id: `p${n}`, key: `k${n}`, room, event: "e", data: n });
}

describe("two servers on one NATS with JetStream", () => {
  const { one, two } = pair(() => `${engine.url}?prefix=${newPrefix()}`);

  it("show each other's messages to their members, in one order, each naming the one before it (P-4)", async () => {
    const [ann, joined] = await join(one(), "ann", "crossing");
    const [bob] = await join(two(), "bob", "crossing");
    const [other] = await join(two(), "other", "elsewhere");
    for (let n = 1; n <= 20; n++) {
      publish(n % 2 === 0 ? ann : bob, "crossing", n);
      publish(other, "elsewhere", n);
    }
    const [seen, same] = await Promise.all([ann, bob].map((peer) => messages(peer, 20)));
    expect(joined["cursor"]).toMatch(/:0$/);
    expect(same).toEqual(seen);
    let before: unknown = 0;
    for (const { offset, prev } of seen!) {
      expect(prev ?? Number(offset) - 1).toBe(before);
      before = offset;
    }
  });

  it("let a member resume on the other one, with exactly what was missed", async () => {
    const [ann] = await join(one(), "ann", "resume");
    const [bob, { cursor }] = await join(one(), "bob", "resume");
    const epoch = String(cursor).split(":")[0];
    for (let n = 1; n <= 3; n++) publish(bob, "resume", n);
    const [, , third] = await messages(ann, 3);
    ann.destroy();
    for (let n = 4; n <= 9; n++) publish(bob, "resume", n);
    await bob.until({ type: "ack", re: "p9" });
    const since = `${epoch}:${String(third!["offset"])}`;
    const [again, resumed] = await join(two(), "ann", "resume", { since });
    expect(resumed).toMatchObject({ recovered: true, replay: 6, cursor: since });
    expect((await messages(again, 6)).map((frame) => frame["data"])).toEqual([4, 5, 6, 7, 8, 9]);
    const [late, some] = await join(two(), "carl", "resume", { history: 4 });
    expect(some).toMatchObject({ replay: 4 });
    expect((await messages(late, 4)).map((frame) => frame["data"])).toEqual([6, 7, 8, 9]);
    const [whole, all] = await join(two(), "dora", "resume", { since: `${epoch}:0` });
    expect(all).toMatchObject({ recovered: true, replay: 9 });
    expect(await messages(whole, 9)).toHaveLength(9);
  });

  it("settle a repeated publish, whichever of them it comes to", async () => {
    const [ann] = await join(one(), "ann", "keys");
    publish(ann, "keys", 1);
    const { offset } = await ann.until({ type: "ack", re: "p1" });
    const [again] = await join(two(), "ann", "keys");
    publish(again, "keys", 1);
    expect(await again.expect({ type: "ack", re: "p1", duplicate: true })).toMatchObject({ offset });
  });

  it("go through a crash of NATS: red while it is away, then on with the same log", async () => {
    const [ann] = await join(one(), "ann", "crash");
    const [bob] = await join(two(), "bob", "crash");
    publish(ann, "crash", 1);
    await messages(bob, 1);
    await engine.kill();
    await reads(two(), 503);
    publish(ann, "crash", 2);
    await engine.restart();
    await Promise.all([reads(one(), 200), reads(two(), 200)]);
    await ann.until({ type: "ack", re: "p2" });
    publish(ann, "crash", 3);
    const seen = await messages(bob, 2);
    expect(seen.map((frame) => frame["data"])).toEqual([2, 3]);
  });
});

describe("a server whose messages may be larger than NATS takes", () => {
  it.each(["nats", "nats+core"])("refuses to start on %s, and says what to change", async (scheme) => {
    const backend = `${engine.url.replace("nats:", `${scheme}:`)}?prefix=${newPrefix()}`;
    await expect(startServer(["--backend", backend, "--limit", "message_bytes=1048000"])).rejects.toThrow(
      /limit messageBytes is 1048000, .* takes \d+ bytes at most: lower it, or raise max_payload of nats-server/,
    );
    const largest = await startServer(["--backend", backend, "--limit", "message_bytes=1000000"]);
    await endServer(largest);
  });
});

describe("two servers on core NATS", () => {
  const { one, two } = pair(() => `${engine.url.replace("nats:", "nats+core:")}?prefix=${newPrefix()}`);

  it("pass messages on, and say that nothing is kept (P-21)", async () => {
    const [ann, joined] = await join(one(), "ann", "fleeting", { since: "someepoch:3", history: 5 });
    expect(joined).toMatchObject({ kept: false, recovered: false, replay: 0 });
    expect(joined).not.toHaveProperty("cursor");
    const [bob] = await join(two(), "bob", "fleeting");
    for (let n = 1; n <= 20; n++) publish(bob, "fleeting", n);
    const seen = await messages(ann, 20);
    expect(seen.map((frame) => frame["data"])).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(seen[0]).not.toHaveProperty("offset");
    await reads(two(), 200);
  });

  it("refuse to start where messages are to be kept, and say what to choose", async () => {
    const url = engine.url.replace("nats:", "nats+core:");
    await expect(startServer(["--backend", url, "--keep-messages", "10"])).rejects.toThrow(
      /keep is given, and the backend nats\+core keeps no log/,
    );
  });
});

function newPrefix(): string {
  return `w${randomBytes(6).toString("hex")}`;
}

async function messages(peer: Peer, count: number): Promise<JsonObject[]> {
  const seen: JsonObject[] = [];
  while (seen.length < count) seen.push(await peer.until({ type: "message" }));
  return seen;
}

/** Resolves when `/readyz` answers so. */
async function reads(server: TestServer, status: number): Promise<void> {
  await expect
    .poll(async () => (await http(`http://${server.host}/readyz`)).status, { timeout: 15_000, interval: 100 })
    .toBe(status);
}
