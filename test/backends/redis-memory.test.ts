import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BackendUnavailable } from "../../src/backends/backend.ts";
import { entryOf, keyOf, numbers, roomOf } from "../../src/testing/backend/tools.ts";
import { type RedisServer, startRedis, until } from "../support/engines/redis.ts";
import { insist, RedisNodes, Witness } from "../support/redis-nodes.ts";
import { startProxy } from "../support/stalling-proxy.ts";

const room = roomOf("r", { messages: 100, ms: 86_400_000 });

let server: RedisServer;
let nodes: RedisNodes;

beforeEach(async () => {
  server = await startRedis();
  nodes = new RedisNodes("t:");
});
afterEach(async () => {
  await nodes.close();
  await server.stop();
});

async function configure(settings: Readonly<Record<string, string>>): Promise<void> {
  // One at a time: Redis 6.2 takes no more.
  for (const [name, value] of Object.entries(settings)) await server.cli("CONFIG", "SET", name, value);
}

describe("a Redis whose memory is full", () => {
  it("takes no publish, in no room, and says so; joins, reads, texts and new connections go on, and then publishes", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    await node.append(room, entryOf("a", Date.now()), keyOf("a"));
    await configure({ "maxmemory-policy": "noeviction", maxmemory: "1" });

    await expect(node.append(room, entryOf("b", Date.now()))).rejects.toThrow(/memory is full: raise maxmemory/);
    await expect(node.append(roomOf("new"), entryOf("b", Date.now()))).rejects.toThrow(/memory is full/);
    await expect(node.set("fact", "value", 1_000)).rejects.toThrow(/memory is full/);
    expect(await node.append(room, entryOf("a", Date.now()), keyOf("a"))).toMatchObject({ kind: "duplicate" });

    const other = await nodes.open(server.url);
    expect(await other.state(room)).toMatchObject({ head: 1, trimmed: 0 });
    expect(await other.state(roomOf("new too"))).toMatchObject({ head: 0 });
    expect(await other.read(room, 0, 10)).toMatchObject([{ offset: 1, body: "a" }]);
    await other.relay(room, "typing");
    await witness.until(() => witness.told.some((each) => typeof each === "object" && "text" in each));
    await other.check();

    await configure({ maxmemory: "0" });
    expect(await node.append(room, entryOf("c", Date.now()))).toMatchObject({ offset: 2 });
    await witness.until(() => witness.bodies.length === 2);
    expect([witness.bodies, witness.jumps]).toEqual([["a", "c"], []]);
  });

  it("that fills up between two publishes of a node keeps none that was sent behind a refused one", async () => {
    const proxy = await startProxy(server.port);
    const node = await nodes.open(`redis://127.0.0.1:${proxy.port}`, { waitMs: 1_000 });
    await node.append(room, entryOf("a", Date.now()), keyOf("a"));
    // From here on the node hears of no outcome, and so sends what is behind without knowing.
    proxy.stall();
    await configure({ "maxmemory-policy": "noeviction", maxmemory: "1" });
    const unborn = roomOf("unborn", room.keep);
    const refused = [room, unborn].map((each) =>
      node.append(each, entryOf("b", Date.now()), keyOf("b")).catch((error: unknown) => error),
    );
    await until(async () => String(await server.cli("INFO", "errorstats")).includes("errorstat_OOM:count=2"));
    await configure({ maxmemory: "0" });
    const behind = [keyOf("c"), undefined, keyOf("e")].map((key) =>
      node.append(room, entryOf("behind", Date.now()), key).catch((error: unknown) => error),
    );
    behind.push(node.append(unborn, entryOf("behind", Date.now()), keyOf("c")).catch((error: unknown) => error));
    const outcomes = await Promise.all([...refused, ...behind]);
    for (const outcome of outcomes) expect(outcome).toBeInstanceOf(BackendUnavailable);
    expect(await server.cli("XLEN", "t:{r}:log")).toBe(1);
    expect(await server.cli("EXISTS", "t:{unborn}:meta")).toBe(0);

    // By their keys they are kept in the order in which they are repeated.
    for (const key of ["b", "c"]) await insist(() => node.append(room, entryOf(key, Date.now()), keyOf(key)));
    expect((await node.read(room, 0, 10)).map(({ body }) => body)).toEqual(["a", "b", "c"]);
    await proxy.close();
  });

  it("and may evict a room under its members: they are told of a new epoch, and no offset is used again", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    const { epoch } = witness.subscription.state;
    for (const body of ["a", "b", "c"]) await node.append(room, entryOf(body, Date.now()));
    await witness.until(() => witness.bodies.length === 3);
    const used = /used_memory:(\d+)/.exec(String(await server.cli("INFO", "memory")))?.[1];
    await configure({ "maxmemory-policy": "allkeys-lru", maxmemory: String(Number(used) + 4 * 1_048_576) });
    const isThere = async (): Promise<boolean> => (await server.cli("EXISTS", "t:{r}:meta")) === 1;
    for (let i = 0; (await isThere()) && i < 500; i++) await server.cli("SETRANGE", `others:${i}`, 500_000, "x");
    expect(await isThere()).toBe(false);

    await insist(() => node.append(room, entryOf("d", Date.now())));
    await witness.until(() => witness.bodies.length === 4);
    expect(witness.jumps).toEqual([expect.objectContaining({ offset: 0, reason: "epoch" })]);
    expect(witness.jumps[0]!.epoch).not.toBe(epoch);
    expect(witness.names.slice(0, 3)).toEqual([`${epoch}:1=a`, `${epoch}:2=b`, `${epoch}:3=c`]);
    expect(witness.names[3]).toBe(`${witness.jumps[0]!.epoch}:1=d`);
  });

  it("and may evict only a part of it: numbers go on, and what is gone counts as trimmed", async () => {
    const [node, other] = [await nodes.open(server.url), await nodes.open(server.url)];
    const witness = await Witness.of(node, room);
    for (const body of ["a", "b", "c"]) await node.append(room, entryOf(body, Date.now()));
    // As an eviction does.
    await server.cli("UNLINK", "t:{r}:log");
    expect(await other.state(room)).toMatchObject({ head: 3, trimmed: 3 });
    await server.cli("UNLINK", "t:term");
    await node.append(room, entryOf("d", Date.now()));
    expect(await other.state(room)).toMatchObject({ head: 4, trimmed: 3 });
    expect(await other.read(room, 0, 10)).toMatchObject([{ offset: 4, body: "d" }]);
    await witness.until(() => witness.bodies.length === 4);
    expect(witness.entries.map(({ offset }) => offset)).toEqual(numbers(1, 4));
    expect(witness.jumps).toEqual([]);
  });
});

describe("a Redis that takes no writes", () => {
  it("because it cannot save says so, and goes on when it can", async () => {
    const node = await nodes.open(server.url);
    await node.append(room, entryOf("a", Date.now()));
    const [, directory = ""] = (await server.cli("CONFIG", "GET", "dir")) as readonly string[];
    const inTheWay = join(directory, "dump.rdb");
    mkdirSync(inTheWay);
    await configure({ save: "3600 1" });
    await save("err");
    await expect(node.append(room, entryOf("b", Date.now()))).rejects.toThrow(/MISCONF.*cannot save to its disk/);
    await expect(node.check()).rejects.toThrow(/MISCONF/);
    await expect(nodes.open(server.url, { waitMs: 300 })).rejects.toThrow(/cannot save to its disk/);
    rmdirSync(inTheWay);
    await save("ok");
    expect(await node.append(room, entryOf("b", Date.now()))).toMatchObject({ offset: 2 });
  });

  it("because its replicas are away says so, and goes on when they are there; Redis 6.2 refuses new connections alone", async () => {
    const node = await nodes.open(server.url);
    await node.append(room, entryOf("a", Date.now()));
    await configure({ "min-replicas-to-write": "1" });
    await expect(nodes.open(server.url, { waitMs: 300 })).rejects.toThrow(/NOREPLICAS.*min-replicas-to-write/);
    const outcome = await node.append(room, entryOf("b", Date.now())).then(({ kind }) => kind, String);
    const isOld = String(await server.cli("INFO", "server")).includes("redis_version:6.");
    expect(outcome).toMatch(isOld ? /^kept$/ : /NOREPLICAS.*min-replicas-to-write/);
    await configure({ "min-replicas-to-write": "0" });
    expect(await node.append(room, entryOf("c", Date.now()))).toMatchObject({ offset: isOld ? 3 : 2 });
  });
});

/** Writes a snapshot, which goes well or not. */
async function save(status: "ok" | "err"): Promise<void> {
  await server.cli("BGSAVE");
  await until(async () => {
    const facts = String(await server.cli("INFO", "persistence"));
    return facts.includes("rdb_bgsave_in_progress:0") && facts.includes(`rdb_last_bgsave_status:${status}`);
  });
}
