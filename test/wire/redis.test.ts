import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { type RedisServer, startRedis } from "../support/engines/redis.ts";
import { http } from "../support/http.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs, type Peer } from "../support/socket.ts";

let engine: RedisServer;
let one: TestServer;
let two: TestServer;

beforeAll(async () => {
  engine = await startRedis();
  [one, two] = await Promise.all([startNode(), startNode()]);
});
afterAll(async () => {
  await Promise.all([endServer(one), endServer(two)]);
  await engine.stop();
});

function startNode(): Promise<TestServer> {
  return startServer(["--backend", engine.url, "--redis-prefix", "wire:", "--limit", "requests_per_s=5000"]);
}

async function join(on: TestServer, user: string, room: string, fields: JsonObject = {}): Promise<[Peer, JsonObject]> {
  const peer = await connectAs(on, user);
  peer.send({ type: "join", room, ...fields });
  return [peer, await peer.expect({ type: "joined", room })];
}

function publish(peer: Peer, room: string, n: number): void {
  peer.send({ type: "publish", id: `p${n}`, key: `k${n}`, room, event: "e", data: n });
}

describe("two servers on one Redis", () => {
  it("show each other's messages to their members, in one order", async () => {
    const [ann] = await join(one, "ann", "crossing");
    const [bob] = await join(two, "bob", "crossing");
    for (let n = 1; n <= 20; n++) publish(n % 2 === 0 ? ann : bob, "crossing", n);
    const seen = await Promise.all([ann, bob].map((peer) => messages(peer, 20)));
    expect(seen[0]!.map((frame) => frame["offset"])).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(seen[1]).toEqual(seen[0]);
  });

  it("pass signals on, to everybody but their sender", async () => {
    const [ann] = await join(one, "ann", "signals");
    const [bob] = await join(two, "bob", "signals");
    ann.send({ type: "signal", room: "signals", event: "typing", data: true });
    await bob.expect({ type: "signal", room: "signals", event: "typing", data: true, from: "ann" });
    expect(await ann.settled()).toEqual([]);
  });

  it("drop and count what no node can have sent, and go on", async () => {
    const [ann] = await join(one, "ann", "strangers");
    const before = await malformed(one);
    for (const text of strangers) await engine.cli("PUBLISH", "wire:room:strangers", text);
    await engine.cli("PUBLISH", "wire:room:\u0002nodes", "rstr4nger");
    publish(ann, "strangers", 1);
    expect((await ann.next())["type"]).toMatch(/^(?:ack|message)$/);
    expect((await ann.next())["type"]).toMatch(/^(?:ack|message)$/);
    ann.send({ type: "signal", room: "strangers", event: "e" });
    expect(await ann.settled()).toEqual([]);
    expect((await malformed(one)) - before).toBe(strangers.length + 1);
    expect(one.output).not.toContain("str4nger");
  });

  it("let a member resume on the other one, with exactly what was missed", async () => {
    const [ann, joined] = await join(one, "ann", "resume");
    const [bob] = await join(one, "bob", "resume");
    for (let n = 1; n <= 3; n++) publish(bob, "resume", n);
    await messages(ann, 3);
    ann.destroy();
    for (let n = 4; n <= 9; n++) publish(bob, "resume", n);
    await bob.until({ type: "ack", re: "p9" });
    const since = String(joined["cursor"]).replace(/:0$/, ":3");
    const [again, resumed] = await join(two, "ann", "resume", { since });
    expect(resumed).toMatchObject({ recovered: true, replay: 6, cursor: since });
    expect((await messages(again, 6)).map((frame) => frame["data"])).toEqual([4, 5, 6, 7, 8, 9]);
  });

  it("settle a repeated publish, whichever of them it comes to", async () => {
    const [ann] = await join(one, "ann", "keys");
    publish(ann, "keys", 1);
    await ann.until({ type: "ack", re: "p1", offset: 1 });
    const [again] = await join(two, "ann", "keys");
    publish(again, "keys", 1);
    await again.expect({ type: "ack", re: "p1", offset: 1, duplicate: true });
  });

  it("go through a crash of Redis: red while it is away, then a gap, then what is new", async () => {
    const [ann] = await join(one, "ann", "crash");
    const [bob] = await join(two, "bob", "crash");
    publish(ann, "crash", 1);
    await messages(bob, 1);
    await engine.kill();
    await reads(two, 503);
    await engine.restart();
    await reads(one, 200);
    await reads(two, 200);
    publish(ann, "crash", 2);
    const gap = await bob.until({ type: "gap", room: "crash", reason: "epoch" });
    const message = await bob.until({ type: "message", room: "crash" });
    expect(message["data"]).toBe(2);
    expect(gap["cursor"]).toMatch(/:0$/);
  });
});

/** In the forms of what nodes say to each other, and in none. */
const strangers = [
  "",
  "str4nger",
  "{}",
  "m",
  "mstr4nger x 1 \n{}",
  "r",
  "rstr4nger",
  "rmessage ",
  "rmessage \n",
  'rmessage \n{"type":"message","data":str4nger}',
  'rmessage \n{"type":"str4nger"}',
  "rsignal \nstr4nger",
  'rsignal \n"str4nger"',
  "rnode \nstr4nger",
];

async function malformed(server: TestServer): Promise<number> {
  const { text } = await http(`http://${server.host}/metrics`);
  return Number(/^fanfare_malformed_messages_total (\d+)$/m.exec(text)?.[1]);
}

async function messages(peer: Peer, count: number): Promise<JsonObject[]> {
  const seen: JsonObject[] = [];
  while (seen.length < count) seen.push(await peer.until({ type: "message" }));
  return seen;
}

/** Resolves when `/readyz` answers so. */
async function reads(server: TestServer, status: number): Promise<void> {
  for (let asked = 0; (await http(`http://${server.host}/readyz`)).status !== status; asked++) {
    if (asked === 150) throw new Error(`/readyz does not answer ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
