import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { entryOf, keptOffset, keyOf, numbers, roomOf } from "../../src/testing/backend/tools.ts";
import { type RedisServer, startRedis, until } from "../support/engines/redis.ts";
import { insist, RedisNodes, Witness } from "../support/redis-nodes.ts";

const room = roomOf("r", { messages: 10_000, ms: 86_400_000 });

let server: RedisServer;
let nodes: RedisNodes;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(() => {
  nodes = new RedisNodes("t:");
});
afterEach(async () => {
  await nodes.close();
  await server.flush();
});

function append(node: Backend, body: string): Promise<unknown> {
  return node.append(room, entryOf(body, Date.now()));
}

/** How many connections have the room's channel. */
async function subscribed(name = "r"): Promise<number> {
  return Number(((await server.cli("PUBSUB", "NUMSUB", `t:room:${name}`)) as readonly unknown[])[1]);
}

/** Keeps a message as the script does, and sends it to nobody. */
async function appendUnseen(body: string): Promise<void> {
  const head = Number(await server.cli("HINCRBY", "t:{r}:meta", "head", 1));
  await server.cli("XADD", "t:{r}:log", `${head}-${Date.now()}`, "b", body, "a", Date.now());
}

describe("several nodes on one Redis", () => {
  it("number without holes what they append at once, and tell all of it alike", async () => {
    const all = await Promise.all([1, 2, 3].map(() => nodes.open(server.url)));
    const witnesses = await Promise.all(all.map((node) => Witness.of(node, room)));
    const offsets = await Promise.all(
      all.flatMap((node, n) =>
        numbers(1, 300).map(async (i) => keptOffset(await node.append(room, entryOf(`${n}/${i}`)))),
      ),
    );
    expect(offsets.toSorted((a, b) => a - b)).toEqual(numbers(1, 900));
    for (const each of witnesses) await each.subscription.sync();
    expect(witnesses[0]!.entries.map(({ offset }) => offset)).toEqual(numbers(1, 900));
    expect(witnesses[1]!.entries).toEqual(witnesses[0]!.entries);
    expect(witnesses[2]!.entries).toEqual(witnesses[0]!.entries);
    expect(await all[1]!.read(room, 0, 1_000)).toEqual(witnesses[0]!.entries);
  });

  it("lose nothing and keep the order where the connections that push are cut under traffic, again and again", async () => {
    const [one, two] = [await nodes.open(server.url), await nodes.open(server.url)];
    const witnesses = [await Witness.of(one, room), await Witness.of(two, room)];
    let isDone = false;
    const traffic = Promise.all(
      [one, two].map(async (node, n) => {
        for (let i = 0; !isDone; i++) {
          await insist(() => node.append(room, entryOf(`${n}/${i}`), keyOf(`${n}/${i}`)));
          if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    for (let cut = 1; cut <= 5; cut++) {
      await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
      await witnesses[0]!.until(() => witnesses[0]!.told.filter((each) => each === "interrupted").length >= cut);
      await witnesses[1]!.until(() => witnesses[1]!.told.filter((each) => each === "interrupted").length >= cut);
    }
    isDone = true;
    await traffic;
    for (const each of witnesses) {
      const { head } = await each.subscription.sync();
      expect(each.entries.map(({ offset }) => offset)).toEqual(numbers(1, head));
      expect(each.jumps).toEqual([]);
    }
    expect(witnesses[1]!.entries).toEqual(witnesses[0]!.entries);
  });

  it("lose nothing where all connections are cut: publishers who insist get each message in once", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    const published = Promise.all(
      numbers(1, 200).map(async (i) => {
        await new Promise((resolve) => setTimeout(resolve, i * 3));
        return insist(() => node.append(room, entryOf(String(i)), keyOf(String(i))));
      }),
    );
    for (let i = 0; i < 4; i++) {
      await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      await witness.until(() => witness.entries.length >= (i + 1) * 30);
    }
    await published;
    await witness.subscription.sync();
    expect(witness.bodies.map(Number).toSorted((a, b) => a - b)).toEqual(numbers(1, 200));
    expect(witness.jumps).toEqual([]);
  });

  it("find a last message that was never pushed, within five seconds and without a successor", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    await append(node, "a");
    await appendUnseen("lost");
    await witness.until(() => witness.entries.length === 2, 5_000);
    expect(witness.bodies).toEqual(["a", "lost"]);
  });

  it("repair a hole before they tell what follows it", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    await append(node, "a");
    await appendUnseen("lost");
    await append(node, "b");
    await witness.until(() => witness.entries.length === 3, 2_000);
    expect(witness.bodies).toEqual(["a", "lost", "b"]);
  });

  it("go on in a new epoch after FLUSHALL, which is told before anything of it", async () => {
    const [one, two] = [await nodes.open(server.url), await nodes.open(server.url)];
    const witness = await Witness.of(one, room);
    const { epoch } = witness.subscription.state;
    for (const body of ["a", "b", "c"]) await append(two, body);
    await server.flush();
    for (const body of ["d", "e"]) expect(await append(two, body)).not.toMatchObject({ epoch });
    await witness.until(() => witness.entries.length === 5);
    const { epoch: next } = await two.state(room);
    expect(witness.jumps).toEqual([{ epoch: next, offset: 0, reason: "epoch" }]);
    expect(witness.names).toEqual(
      ["a", "b", "c"].map((body, i) => `${epoch}:${i + 1}=${body}`).concat(`${next}:1=d`, `${next}:2=e`),
    );
    expect(await one.read(room, 0, 10, epoch)).toEqual([]);
  });

  it("go on after SCRIPT FLUSH", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    await append(node, "a");
    await server.cli("SCRIPT", "FLUSH");
    const begun = performance.now();
    await insist(() => node.append(room, entryOf("b"), keyOf("b")));
    await witness.until(() => witness.entries.length === 2);
    // At once, and not only when a probe finds it out.
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect([witness.bodies, witness.jumps]).toEqual([["a", "b"], []]);
  });

  it("lose nothing and keep nothing twice where scripts are flushed in the middle of traffic, again and again", async () => {
    const all = [await nodes.open(server.url), await nodes.open(server.url)];
    const witnesses = await Promise.all(all.map((node) => Witness.of(node, room)));
    const traffic = Promise.all(
      numbers(1, 400).map(async (i) => {
        await new Promise((resolve) => setTimeout(resolve, i));
        await insist(() => all[i % 2]!.append(room, entryOf(String(i)), keyOf(String(i))));
      }),
    );
    for (let flushed = 0; flushed < 8; flushed++) {
      await server.cli("SCRIPT", "FLUSH");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await traffic;
    for (const each of witnesses) {
      await insist(() => each.subscription.sync());
      expect(each.entries.map(({ offset }) => offset)).toEqual(numbers(1, 400));
      expect(each.bodies.map(Number).toSorted((a, b) => a - b)).toEqual(numbers(1, 400));
      expect(each.jumps).toEqual([]);
    }
  });

  it("are not harmed by what others publish on their channels", async () => {
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    const { epoch } = witness.subscription.state;
    for (const text of [
      "",
      "m",
      "hello",
      "m\n",
      `m${epoch} x 1 \nlies`,
      `m${epoch} 1 1 %E0%A4\nlies`,
      `m${epoch} 9 1 \nlies`,
    ])
      await server.cli("PUBLISH", "t:room:r", text);
    await append(node, "a");
    await witness.until(() => witness.entries.length === 1);
    expect(witness.told).toEqual([expect.objectContaining({ offset: 1, body: "a" })]);
  });

  it("see a log that went backwards in its epoch, whoever looks first", async () => {
    const [one, two] = [await nodes.open(server.url), await nodes.open(server.url)];
    const witness = await Witness.of(one, room);
    for (const body of ["a", "b", "c"]) await append(one, body);
    await witness.subscription.sync();
    const { epoch } = witness.subscription.state;
    // As a restored backup would: the same epoch and term, and less in it.
    await server.cli("HSET", "t:{r}:meta", "head", 1);
    await server.cli("DEL", "t:{r}:log");
    const appended = await one.append(room, entryOf("b'"));
    expect(appended).toMatchObject({ kind: "kept", offset: 2 });
    expect(appended).not.toMatchObject({ epoch });
    await append(two, "c'");
    await witness.until(() => witness.entries.length === 5);
    expect(witness.bodies).toEqual(["a", "b", "c", "b'", "c'"]);
    expect(new Set(witness.names.map((name) => name.split("=")[0])).size).toBe(5);
  });
});

describe("what rooms cost", () => {
  it("is nothing for a node without listeners in them", async () => {
    const [one] = [await nodes.open(server.url), await nodes.open(server.url)];
    const witness = await Witness.of(one, room);
    await append(one, "a");
    await witness.until(() => witness.entries.length === 1);
    expect(await subscribed()).toBe(1);
    const clients = String(await server.cli("CLIENT", "LIST", "TYPE", "pubsub"))
      .trim()
      .split("\n");
    // Each has the channel of its own probe; one of them the room's as well.
    const channels = clients.map((line) => Number(/ sub=(\d+)/.exec(line)?.[1]));
    expect(channels.toSorted((a, b) => a - b)).toEqual([1, 2]);
  });

  it("is one subscription a node, which outlives the last listener by some seconds", async () => {
    const node = await nodes.open(server.url);
    const [first, second] = await Promise.all([Witness.of(node, room), Witness.of(node, room)]);
    expect(await subscribed()).toBe(1);
    first.subscription.close();
    second.subscription.close();
    expect(await subscribed()).toBe(1);
    const again = await Witness.of(node, room);
    await append(node, "a");
    await again.until(() => again.entries.length === 1);
    expect([first.bodies, second.bodies]).toEqual([[], []]);
    again.subscription.close();
    const left = performance.now();
    await until(async () => (await subscribed()) === 0);
    expect(performance.now() - left).toBeGreaterThan(4_000);
  });

  it("is kept for a time only: no key is without an expiry, and a log lasts as long as it is kept", async () => {
    const node = await nodes.open(server.url);
    await Witness.of(node, room);
    await node.append(room, entryOf("a", Date.now()), { ...keyOf("k"), resultJson: "1", dedupeMs: 400_000 });
    await node.append(roomOf("short", { messages: 10, ms: 5_000 }), entryOf("a", Date.now()), keyOf("k"));
    await node.state(roomOf("empty", { messages: 10, ms: 5_000 }));
    await node.set("fact", "1", 90_000);
    await node.check();
    const keys = (await server.cli("KEYS", "*")) as readonly string[];
    const lives = new Map(
      await Promise.all(keys.map(async (key) => [key, Number(await server.cli("PTTL", key))] as const)),
    );
    expect(keys.length).toBeGreaterThanOrEqual(9);
    expect([...lives].filter(([, ms]) => ms <= 0)).toEqual([]);
    expect(lives.get("t:{r}:log")).toBeGreaterThan(86_390_000);
    expect(lives.get("t:{r}:meta")).toBeGreaterThan(86_390_000);
    expect(lives.get("t:{r}:key:3:annk")).toBeGreaterThan(390_000);
    // A room's record outlasts its log and its keys.
    expect(lives.get("t:{short}:meta")).toBeGreaterThan((lives.get("t:{short}:key:3:annk") ?? 0) - 100);
  });

  it("is a read of its own missed messages, where somebody resumes", async () => {
    const node = await nodes.open(server.url);
    for (let i = 1; i <= 50; i++) {
      await append(node, `m${i}`);
      await node.append(roomOf("other"), entryOf("x"));
    }
    await server.cli("CONFIG", "RESETSTAT");
    await server.cli("SLOWLOG", "RESET");
    await server.cli("CONFIG", "SET", "slowlog-log-slower-than", 0);
    const entries = await node.read(room, 45, 100);
    await server.cli("CONFIG", "SET", "slowlog-log-slower-than", 10_000);
    expect(entries.map(({ body }) => body)).toEqual(["m46", "m47", "m48", "m49", "m50"]);
    const stats = String(await server.cli("INFO", "commandstats"));
    expect(/cmdstat_xrange:calls=(\d+)/.exec(stats)?.[1]).toBe("1");
    expect(stats).not.toMatch(/cmdstat_(xread|keys|scan|xrevrange)/);
    const asked = JSON.stringify(await server.cli("SLOWLOG", "GET", 20));
    expect(asked).toContain("t:{r}:log");
    expect(asked).not.toContain("other");
  });
});
