import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Appended, Backend } from "../../src/backends/backend.ts";
import { entryOf, keptOffset, keyOf, numbers, roomOf } from "../../src/testing/backend/tools.ts";
import {
  type RedisOptions,
  type RedisServer,
  type Sentinels,
  startRedis,
  startSentinels,
  until,
} from "../support/engines/redis.ts";
import { startProxy } from "../support/stalling-proxy.ts";
import { insist, RedisNodes, Witness } from "../support/redis-nodes.ts";

const room = roomOf("r", { messages: 10_000, ms: 86_400_000 });

let nodes: RedisNodes;
let started: (RedisServer | Sentinels)[];

beforeEach(() => {
  nodes = new RedisNodes("t:");
  started = [];
});
afterEach(async () => {
  await nodes.close();
  await Promise.all(started.map((each) => each.stop()));
});

async function start(options: RedisOptions = {}): Promise<RedisServer> {
  const server = await startRedis(options);
  started.push(server);
  return server;
}

function publish(node: Backend, body: string): Promise<Appended> {
  return insist(() => node.append(room, entryOf(body, Date.now()), keyOf(body)));
}

describe("a Redis that crashes and comes back", () => {
  it("with its append-only file has all that was acknowledged, in a new epoch, and members miss nothing", async () => {
    const server = await start({ appendonly: true });
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    const { epoch } = witness.subscription.state;
    for (const body of ["a", "b"]) await publish(node, body);
    await witness.until(() => witness.entries.length === 2);
    await server.restart();
    // Somebody who repeats what was acknowledged before the crash is told so.
    expect(await publish(node, "a")).toMatchObject({ kind: "duplicate", offset: 1 });
    expect(keptOffset(await publish(node, "c"))).toBe(3);
    await witness.until(() => witness.entries.length === 3);
    expect(witness.jumps).toEqual([expect.objectContaining({ offset: 2, reason: "epoch" })]);
    expect(witness.jumps[0]!.epoch).not.toBe(epoch);
    expect((await node.read(room, 0, 10)).map(({ body }) => body)).toEqual(["a", "b", "c"]);
  });

  it("without any of its data begins a new epoch, which is told before anything of it", async () => {
    const server = await start();
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    for (const body of ["a", "b"]) await publish(node, body);
    await witness.until(() => witness.entries.length === 2);
    await server.restart();
    await publish(node, "c");
    await witness.until(() => witness.entries.length === 3);
    expect(witness.jumps).toEqual([expect.objectContaining({ offset: 0, reason: "epoch" })]);
    expect(new Set(witness.names.map((name) => name.split("=")[0])).size).toBe(3);
    await witness.until(() => witness.told.includes("interrupted"));
  });
});

describe("a Redis that stops answering", () => {
  it("fails publishes as unavailable within their bound, also those that only wait, and is used again when it answers", async () => {
    const server = await start();
    const node = await nodes.open(server.url, { waitMs: 1_000 });
    const witness = await Witness.of(node, room);
    await publish(node, "a");
    server.pause();
    const begun = performance.now();
    const outcomes = await Promise.allSettled(numbers(1, 20).map((i) => node.append(room, entryOf(`lost ${i}`))));
    expect(performance.now() - begun).toBeLessThan(1_600);
    for (const each of outcomes) {
      expect(each).toMatchObject({ status: "rejected", reason: { name: "BackendUnavailable" } });
    }
    // There is no connection now; the next one waits for one, as long.
    await expect(node.append(room, entryOf("waits"))).rejects.toMatchObject({ name: "BackendUnavailable" });
    await expect(node.check()).rejects.toMatchObject({ name: "BackendUnavailable" });
    await expect(node.relay(room, "x")).rejects.toMatchObject({ name: "BackendUnavailable" });
    expect(performance.now() - begun).toBeLessThan(3_200);
    server.resume();
    await publish(node, "b");
    await witness.until(() => witness.bodies.includes("b"));
    await node.check();
    // What was sent before may have been kept, each at most once, and in its order.
    const { head } = await witness.subscription.sync();
    expect(witness.entries.map(({ offset }) => offset)).toEqual(numbers(1, head));
    expect(witness.jumps).toEqual([]);
  });

  it("never keeps what failed with one before it, though it is back before that one's own time is over", async () => {
    const server = await start();
    const node = await nodes.open(server.url, { waitMs: 2_500 });
    const witness = await Witness.of(node, room);
    await server.kill();
    await until(() => nodes.logged.some((line) => line.includes("commands is lost")));
    const first = node.append(room, entryOf("first"));
    first.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 2_300));
    const second = node.append(room, entryOf("second"));
    const outcomes = await Promise.allSettled([first, second]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await server.restart();
    await publish(node, "third");
    await witness.until(() => witness.bodies.includes("third"));
    expect(witness.bodies).toEqual(["third"]);
  });

  it("keeps those who wait in their order, where it is back in time", async () => {
    const server = await start();
    const node = await nodes.open(server.url);
    const witness = await Witness.of(node, room);
    await publish(node, "first");
    await server.kill();
    const settled: number[] = [];
    const waiting = Promise.all(
      numbers(1, 50).map(async (i) => {
        // Not before the connection is seen to be lost.
        await until(() => nodes.logged.some((line) => line.includes("commands is lost")));
        await node.append(room, entryOf(String(i)));
        settled.push(i);
      }),
    );
    await until(() => nodes.logged.some((line) => line.includes("commands is lost")));
    await server.restart();
    await waiting;
    await witness.subscription.sync();
    expect(witness.bodies.slice(1)).toEqual(settled.map(String));
  });

  it("half, taking what is published and pushing nothing: the log is read, the check says so, the connection is made anew", async () => {
    const server = await start();
    const proxy = await startProxy(server.port);
    try {
      const node = await nodes.open(`redis://127.0.0.1:${proxy.port}`);
      const witness = await Witness.of(node, room);
      proxy.stallWhereSent("subscribe");
      await expect(node.check()).rejects.toMatchObject({ name: "BackendUnavailable" });
      await publish(node, "a");
      await witness.until(() => witness.bodies.includes("a"), 5_000);
      // Two probes in a row that did not come back: a pushed text proves the new connection.
      await witness.until(() => witness.told.includes("interrupted"), 15_000);
      await node.relay(room, "pushed");
      await witness.until(() => witness.told.some((each) => typeof each === "object" && "text" in each));
      await node.check();
    } finally {
      await nodes.close();
      await proxy.close();
    }
  });
});

describe("a failover to a replica that lags", () => {
  it("begins a new epoch at the replica's head: no epoch and offset name two messages, and all is told in order", async () => {
    const master = await start();
    const replica = await start({ replicaOf: master.port });
    const sentinels = await startSentinels({ masterPort: master.port });
    started.push(sentinels);
    await sentinels.ready(1);
    const [one, two] = [await nodes.open(sentinels.url), await nodes.open(sentinels.url)];
    const witnesses = [await Witness.of(one, room), await Witness.of(two, room)];
    for (const body of ["a", "b", "c"]) await publish(one, body);
    // Nobody listens there, so nobody can say what was seen of it.
    const unheard = roomOf("unheard", room.keep);
    await one.append(unheard, entryOf("a", Date.now()));
    const { epoch } = witnesses[0]!.subscription.state;
    await until(async () => String(await replica.cli("HGET", "t:{unheard}:meta", "head")) === "1");
    // The replica hears nothing of what is acknowledged from here on, and the master dies with it.
    replica.pause();
    await master.cli("CLIENT", "KILL", "TYPE", "replica");
    for (const body of ["lost d", "lost e"]) expect(await publish(one, body)).toMatchObject({ epoch });
    const lost = await one.append(unheard, entryOf("lost b", Date.now()));
    for (const each of witnesses) await each.until(() => each.entries.length === 5);
    await master.kill();
    replica.resume();
    await Promise.all([publish(one, "f"), publish(two, "g")]);
    for (const each of witnesses) await each.until(() => each.entries.length === 7, 20_000);
    expect(await sentinels.master()).toBe(replica.port);
    const next = await insist(() => two.append(unheard, entryOf("b'", Date.now())));
    expect([keptOffset(lost), keptOffset(next)]).toEqual([2, 2]);
    expect(next).not.toMatchObject({ epoch: lost.kind === "kept" ? lost.epoch : "" });

    for (const each of witnesses) {
      expect(each.bodies.slice(0, 5)).toEqual(["a", "b", "c", "lost d", "lost e"]);
      expect(each.bodies.slice(5).toSorted()).toEqual(["f", "g"]);
      expect(each.jumps).toEqual([expect.objectContaining({ offset: 3, reason: "epoch" })]);
      expect(new Set(each.names.map((name) => name.split("=")[0])).size).toBe(7);
    }
    expect(witnesses[1]!.names).toEqual(witnesses[0]!.names);
    expect(await one.read(room, 3, 10, epoch)).toEqual([]);
    expect((await one.read(room, 0, 10)).map(({ body }) => body).slice(0, 3)).toEqual(["a", "b", "c"]);
  }, 60_000);
});
