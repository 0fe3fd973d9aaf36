import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Appended } from "../../src/backends/backend.ts";
import { keptOffset, keyOf, numbers, roomOf } from "../../src/testing/backend/tools.ts";
import { type NatsServer, startNats } from "../support/engines/nats.ts";
import { losing } from "../support/engines/losing.ts";
import { Link } from "../torture/link.ts";
import { brokenLinks, closeAll, jetstream, newPrefix, opened, told } from "./fixtures/nats.ts";

let server: NatsServer;
beforeAll(async () => {
  server = await startNats();
});
afterAll(() => server.stop());
closeAll();

const room = roomOf("room", { messages: 1_000, ms: 3_600_000 });
const entry = (body: string): { body: string; at: number; except: undefined } => ({
  body,
  at: Date.now(),
  except: undefined,
});

describe("several nodes on one NATS", () => {
  it("tell the same messages in the same order, whoever published", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const nodes = await Promise.all([opened(options), opened(options), opened(options)]);
    const seen = await Promise.all(nodes.map((node) => told(node, room)));
    await Promise.all(nodes.flatMap((node, n) => numbers(1, 100).map((i) => node.append(room, entry(`${n}.${i}`)))));
    await Promise.all(seen.map((each) => each.until(({ entries }) => entries.length === 300)));
    const log = await nodes[0].read(room, 0, 1_000);
    for (const { entries } of seen) expect(entries).toEqual(log);
    for (const n of [0, 1, 2]) {
      const own = log.filter(({ body }) => body.startsWith(`${n}.`)).map(({ body }) => body);
      expect(own).toEqual(numbers(1, 100).map((i) => `${n}.${i}`));
    }
  });

  it("keep a message once though both were given it at once, and tell of a conflict", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    for (const i of numbers(1, 20)) {
      const key = { ...keyOf(`k${i}`), resultJson: `${i}` };
      const both = await Promise.all([a.append(room, entry("same"), key), b.append(room, entry("same"), key)]);
      expect(both.map(({ kind }) => kind).sort()).toEqual(["duplicate", "kept"]);
      expect(new Set(both.map((each) => each.kind !== "conflict" && each.offset)).size).toBe(1);
      expect(both.find(({ kind }) => kind === "duplicate")).toMatchObject({ resultJson: `${i}`, fingerprint: "f" });
      expect(await b.append(room, entry("other"), keyOf(`k${i}`, "g"))).toEqual({ kind: "conflict" });
      expect(await b.find(room, key)).toMatchObject({ fingerprint: "f", resultJson: `${i}` });
    }
    expect(await a.read(room, 0, 100)).toHaveLength(20);
  });

  it("whose clocks are wrong by hours keep a message once, and agree on what has expired", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const [late, right, early] = await Promise.all(
      [-7_200_000, 0, 7_200_000].map((off) => opened(options, () => Date.now() + off)),
    );
    const nodes = [late!, right!, early!];
    for (const [n, node] of nodes.entries()) {
      const first = await node.append(room, entry("once"), keyOf(`k${n}`));
      for (const other of nodes) {
        expect(await other.find(room, keyOf(`k${n}`))).toMatchObject({ offset: keptOffset(first) });
        expect((await other.append(room, entry("once"), keyOf(`k${n}`))).kind).toBe("duplicate");
      }
      await node.set(`fact ${n}`, "known", 60_000);
      for (const other of nodes) expect(await other.get(`fact ${n}`)).toBe("known");
    }
    expect(await right!.read(room, 0, 100)).toHaveLength(3);
    expect(new Set(await Promise.all(nodes.map(async (node) => (await node.state(room)).epoch))).size).toBe(1);
  });

  it("pass texts on, give a fact to one taker alone, and know whether somebody else is there", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    const onA = await told(a, room);
    expect(await onA.subscription.others()).toBe(0);
    const onB = await told(b, room);
    expect(await onA.subscription.others()).toBeUndefined();
    for (const text of ["1", "2", "3"]) void a.relay(room, text);
    await onB.until(({ words }) => words.length === 3);
    expect([onA.words, onB.words]).toEqual([onA.words, onA.words]);
    await a.set("ticket", "ann", 30_000);
    await a.set("long", "bob", 400 * 86_400_000);
    const takers = await Promise.all(numbers(1, 40).flatMap(() => [a.take("ticket"), b.take("ticket")]));
    expect(takers.filter((value) => value !== undefined)).toEqual(["ann"]);
    expect(await b.get("long")).toBe("bob");
    await b.set("long", "carol", 30_000);
    expect([await a.get("long"), await a.take("long"), await a.get("long")]).toEqual(["carol", "carol", undefined]);
  });
});

/** Consumers that are kept with the stream. */
async function hangOn(url: string, stream: string, count: number): Promise<void> {
  const config = { deliver_policy: "all", ack_policy: "explicit" };
  for (const i of numbers(1, count)) {
    const name = `hanger-${i}`;
    const payload = { stream_name: stream, config: { ...config, durable_name: name } };
    await jetstream(url, `CONSUMER.DURABLE.CREATE.${stream}.${name}`, payload);
  }
}

describe("when NATS fails", () => {
  it("killed and started again: what was acknowledged is there, in the same epoch, and listeners go on", async () => {
    const own = await startNats();
    try {
      const options = { servers: own.url, prefix: newPrefix(), waitMs: 10_000 };
      const [a, b] = await Promise.all([opened(options), opened(options)]);
      const [onA, onB] = await Promise.all([told(a, room), told(b, room)]);
      const before = onA.subscription.state.epoch;
      const appends = numbers(1, 400).map((i) => a.append(room, entry(`m${i}`), keyOf(`k${i}`)));
      await appends[100];
      await own.kill();
      await own.restart();
      await Promise.all(appends);
      const words = numbers(1, 400).map((i) => `m${i}`);
      const all = (each: { words: string[] }): boolean =>
        each.words.filter((word) => word.startsWith("m")).length >= 400;
      await Promise.all([onA.until(all), onB.until(all)]);
      for (const { entries } of [onA, onB]) expect(entries.map(({ body }) => body)).toEqual(words);
      expect((await b.state(room)).epoch).toBe(before);
      await onB.until((each) => each.words.includes("interrupted"));
    } finally {
      await own.stop();
    }
  });

  it("paused: an append is unavailable within its bound, with all that wait behind it, and later ones work", async () => {
    const own = await startNats();
    try {
      const node = await opened({ servers: own.url, prefix: newPrefix(), waitMs: 2_000 });
      await node.append(room, entry("before"));
      own.pause();
      const began = performance.now();
      const results = await Promise.allSettled([1, 2, 3].map((i) => node.append(room, entry(`lost ${i}`))));
      expect(performance.now() - began).toBeLessThan(3_500);
      for (const result of results) {
        expect(result).toMatchObject({ status: "rejected", reason: { name: "BackendUnavailable" } });
      }
      await expect(node.check()).rejects.toMatchObject({ name: "BackendUnavailable" });
      own.resume();
      await expect
        .poll(
          () =>
            node.append(room, entry("after")).then(
              ({ kind }) => kind,
              () => "no",
            ),
          { timeout: 15_000 },
        )
        .toBe("kept");
      const bodies = (await node.read(room, 0, 100)).map(({ body }) => body);
      // Of those that failed the first had been sent; the others were not.
      expect(bodies.filter((body) => /lost [23]/.test(body))).toEqual([]);
      await expect.poll(() => node.check().then(() => "works", String), { timeout: 10_000 }).toBe("works");
    } finally {
      own.resume();
      await own.stop();
    }
  }, 30_000);

  it("with its stream deleted: another epoch, and every listener hears of it before anything of the new log", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    const [onA, onB] = await Promise.all([told(a, room), told(b, room)]);
    for (const i of [1, 2, 3]) await a.append(room, entry(`old ${i}`));
    await onB.until(({ words }) => words.length === 3);
    await jetstream(server.url, `STREAM.DELETE.${options.prefix}-log`);
    const appended = await a.append(room, entry("new"));
    await Promise.all([onA, onB].map((each) => each.until(({ words }) => words.includes("new"))));
    for (const each of [onA, onB]) {
      expect(each.words).toEqual(["old 1", "old 2", "old 3", "jump epoch", "new"]);
      expect(each.jumps[0]).toMatchObject({ offset: 0, reason: "epoch" });
      expect(each.jumps[0]?.epoch).not.toBe(each.subscription.state.epoch);
    }
    expect(appended).toMatchObject({ kind: "kept", epoch: onA.jumps[0]?.epoch });
    expect(await b.state(room)).toMatchObject({ epoch: onA.jumps[0]?.epoch, trimmed: 0 });
  }, 20_000);

  it("with its stream deleted under appends of a node far away: none of the old epoch stands in the new stream", async () => {
    const link = new Link(() => ({ host: `127.0.0.1:${server.port}`, port: server.port }));
    await link.open();
    try {
      const options = { servers: `nats://${link.address.host}`, prefix: newPrefix(), waitMs: 10_000 };
      const node = await opened(options);
      const rooms = numbers(1, 200).map((i) => roomOf(`room ${i}`, { messages: 1_000, ms: 3_600_000 }));
      await Promise.all(rooms.map((each) => node.append(each, entry("old"))));
      link.delayMs = 60;
      await jetstream(server.url, `STREAM.DELETE.${options.prefix}-log`);
      // There is always one that begins just now, whatever the node is finding out.
      const appends: Promise<Appended>[] = [];
      for (const each of rooms) {
        appends.push(node.append(each, entry("new")));
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
      const appended = await Promise.all(appends);
      link.delayMs = 0;
      for (const [i, each] of rooms.entries()) {
        const [first] = await node.read(each, 0, 10);
        expect(first).toMatchObject({ body: "new", prev: 0 });
        expect(appended[i]).toMatchObject({ epoch: (await node.state(each)).epoch, offset: first?.offset });
      }
    } finally {
      link.close();
    }
  }, 40_000);

  it("with its stream deleted: a node that has not heard of it reads nothing of another room under the old numbers", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    for (const i of [1, 2, 3]) await b.append(room, entry(`mine ${i}`));
    const { epoch } = await b.state(room);
    expect(await b.read(room, 0, 3, epoch)).toHaveLength(3);
    await jetstream(server.url, `STREAM.DELETE.${options.prefix}-log`);
    for (const i of numbers(1, 10)) await a.append(roomOf("another"), entry(`secret ${i}`));
    expect(await b.read(room, 0, 3, epoch)).toEqual([]);
  }, 20_000);

  it("with all of it purged by hand: another epoch, for those who are there and those who come later", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const node = await opened(options);
    const seen = await told(node, room);
    for (const i of [1, 2]) await node.append(room, entry(`old ${i}`));
    for (const round of [1, 2]) {
      await jetstream(server.url, `STREAM.PURGE.${options.prefix}-log`);
      await seen.until(({ jumps }) => jumps.length === round);
      const later = await opened(options);
      const appended = await later.append(room, entry(`new ${round}`));
      await seen.until(({ words }) => words.includes(`new ${round}`));
      expect(appended).toMatchObject({ kind: "kept", epoch: seen.jumps.at(-1)?.epoch });
      expect((await later.read(room, 0, 10)).map(({ body }) => body)).toEqual([`new ${round}`]);
    }
    expect(seen.words).toEqual(["old 1", "old 2", "jump epoch", "new 1", "jump epoch", "new 2"]);
    expect(brokenLinks(seen)).toEqual([]);
  }, 40_000);

  it("with a room purged by hand in mid-traffic: the next message follows what its listeners were told", async () => {
    const options = { servers: server.url, prefix: newPrefix() };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    const seen = await Promise.all([told(a, room), told(b, room)]);
    for (const i of [1, 2]) await a.append(room, entry(`old ${i}`));
    const info = await jetstream(server.url, `STREAM.INFO.${options.prefix}-log`);
    const [subjects = ""] = (info["config"] as { subjects: string[] }).subjects;
    const filter = subjects.replace("*", Buffer.from(room.name).toString("base64url"));
    await jetstream(server.url, `STREAM.PURGE.${options.prefix}-log`, { filter });
    for (const i of [1, 2]) await b.append(room, entry(`new ${i}`));
    await Promise.all(seen.map((each) => each.until(({ words }) => words.includes("new 2"))));
    for (const each of seen) {
      expect(each.words).toEqual(["old 1", "old 2", "new 1", "new 2"]);
      expect(brokenLinks(each)).toEqual([]);
    }
    for (const node of [a, b]) {
      const [only, ...others] = await node.read(room, 0, 10);
      expect([only?.body, others]).toEqual(["new 2", []]);
      expect((await node.state(room)).trimmed).toBe(only?.prev ?? only!.offset - 1);
    }
  }, 20_000);

  it("with its stream deleted again and again: one new epoch each time, and what is acknowledged after it stays", async () => {
    const own = await startNats();
    try {
      const options = { servers: own.url, prefix: newPrefix(), waitMs: 10_000 };
      const [a, b] = await Promise.all([opened(options), opened(options)]);
      const [onA, onB] = await Promise.all([told(a, room), told(b, room)]);
      for (const round of numbers(1, 5)) {
        await Promise.all(numbers(1, 100).map((i) => a.append(room, entry(`old ${round}.${i}`))));
        const { epoch: before } = await a.state(room);
        // What hangs on the stream is what its deletion takes its time for.
        await hangOn(own.url, `${options.prefix}-log`, 100);
        const deletion = jetstream(own.url, `STREAM.DELETE.${options.prefix}-log`);
        // Somebody is always there to find it missing while it is being deleted.
        for (let epoch = before; epoch === before;) ({ epoch } = await a.state(room));
        await deletion;
        const appended = await Promise.all(numbers(1, 20).map((i) => b.append(room, entry(`new ${round}.${i}`))));
        const epochs = new Set(appended.map((each) => (each.kind === "kept" ? each.epoch : each.kind)));
        expect([...epochs]).toEqual([(await a.state(room)).epoch]);
        await Promise.all([onA, onB].map((each) => each.until(({ words }) => words.includes(`new ${round}.20`))));
        for (const { jumps } of [onA, onB]) expect(jumps.map(({ epoch }) => epoch)).toHaveLength(round);
      }
      await own.kill();
      await own.restart();
      const bodies = (await b.read(room, 0, 1_000)).map(({ body }) => body);
      expect(bodies).toEqual(numbers(1, 20).map((i) => `new 5.${i}`));
      expect((await a.state(room)).epoch).toBe(onA.jumps.at(-1)?.epoch);
    } finally {
      await own.stop();
    }
  }, 60_000);

  it("with its files put back to an earlier day: another epoch, before an offset comes twice", async () => {
    const own = await startNats();
    try {
      const node = await opened({ servers: own.url, prefix: newPrefix(), waitMs: 10_000 });
      const seen = await told(node, room);
      for (const i of [1, 2, 3]) await node.append(room, entry(`kept ${i}`));
      const forgotten = await own.backup();
      for (const i of [4, 5]) await node.append(room, entry(`lost ${i}`));
      await own.kill();
      forgotten.putBack();
      await own.restart();
      const appended = await node.append(room, entry("new"));
      await seen.until(({ words }) => words.includes("new"));
      const kinds = seen.words.filter((word) => word !== "interrupted");
      expect(kinds).toEqual(["kept 1", "kept 2", "kept 3", "lost 4", "lost 5", "jump epoch", "new"]);
      const { epoch } = seen.subscription.state;
      expect(appended).toMatchObject({ kind: "kept", epoch: seen.jumps[0]?.epoch });
      expect(seen.jumps[0]?.epoch).not.toBe(epoch);
      expect((await node.read(room, 0, 10)).map(({ body }) => body)).toEqual(["kept 1", "kept 2", "kept 3", "new"]);
    } finally {
      await own.stop();
    }
  }, 20_000);

  it("with its files put back: a node without members, which knew too little to find out, is told of the new epoch", async () => {
    const own = await startNats();
    try {
      const options = { servers: own.url, prefix: newPrefix(), waitMs: 10_000 };
      const [writer, other] = await Promise.all([opened(options), opened(options)]);
      const seen = await told(writer, room);
      await other.append(room, entry("kept"));
      const forgotten = await own.backup();
      for (const i of [1, 2, 3]) await writer.append(room, entry(`lost ${i}`));
      await own.kill();
      forgotten.putBack();
      await own.restart();
      await seen.until(({ jumps }) => jumps.length === 1);
      const appended = await other.append(room, entry("new"));
      expect(appended).toMatchObject({ kind: "kept", epoch: seen.jumps[0]?.epoch });
      await seen.until(({ words }) => words.includes("new"));
      expect(brokenLinks(seen)).toEqual([]);
    } finally {
      await own.stop();
    }
  }, 20_000);

  it("with its files put back, and rooms that go on at once: what comes next follows where each room goes on", async () => {
    const own = await startNats();
    let held = Promise.resolve();
    let release = (): void => undefined;
    try {
      const options = { servers: own.url, prefix: newPrefix(), waitMs: 10_000 };
      const writer = await opened(options);
      // It hears of what it missed when the rooms have gone on already.
      const reader = await opened(options, Date.now, () => held);
      const rooms = ["one", "two", "still"].map((name) => roomOf(name, { messages: 1_000, ms: 3_600_000 }));
      const [one, two, still] = rooms;
      const seen = await Promise.all(rooms.map((each) => told(reader, each)));
      for (const each of [one!, still!, two!, two!, two!]) await writer.append(each, entry("kept"));
      const forgotten = await own.backup();
      for (const each of [two!, one!, one!, two!, one!]) await writer.append(each, entry("lost"));
      await Promise.all(seen.map((each, i) => each.until(({ entries }) => entries.length === [4, 5, 1][i])));
      held = new Promise((resolve) => (release = resolve));
      await own.kill();
      forgotten.putBack();
      await own.restart();
      for (const each of [two!, one!]) await writer.append(each, entry("new"));
      release();
      await Promise.all(seen.slice(0, 2).map((each) => each.until(({ words }) => words.includes("new"))));
      await writer.append(still!, entry("new"));
      await seen[2]!.until(({ words }) => words.includes("new"));
      for (const [i, each] of seen.entries()) {
        expect(brokenLinks(each)).toEqual([]);
        expect(each.words.filter((word) => word !== "interrupted").slice(-2)).toEqual(["jump epoch", "new"]);
        const [kept] = (await writer.read(rooms[i]!, 0, 100)).filter(({ body }) => body === "new");
        expect(each.entries.at(-1)).toEqual(kept);
      }
      expect(seen[2]!.jumps.at(-1)?.offset).toBe(seen[2]!.entries[0]!.offset);
    } finally {
      release();
      await own.stop();
    }
  }, 20_000);

  it("losing the last message on its way to a node: the check finds it", async () => {
    const lossy = await losing(server.port, "LOSE ME");
    const prefix = newPrefix();
    const [a, b] = await Promise.all([opened({ servers: server.url, prefix }), opened({ servers: lossy.url, prefix })]);
    const seen = await told(b, room);
    await a.append(room, entry("first"));
    await a.append(room, entry("LOSE ME"));
    await expect.poll(() => lossy.lost(), { timeout: 5_000 }).toBe(1);
    await seen.until(({ words }) => words.length === 1);
    lossy.stopLosing();
    await seen.until(({ words }) => words.length === 2);
    expect(seen.words).toEqual(["first", "LOSE ME"]);
    await lossy.close();
  }, 20_000);

  it("losing one in the middle: it is read before the next is told", async () => {
    const lossy = await losing(server.port, "LOSE ME");
    const prefix = newPrefix();
    const [a, b] = await Promise.all([opened({ servers: server.url, prefix }), opened({ servers: lossy.url, prefix })]);
    const seen = await told(b, room);
    await a.append(room, entry("first"));
    await a.append(room, entry("LOSE ME"));
    await expect.poll(() => lossy.lost(), { timeout: 5_000 }).toBe(1);
    lossy.stopLosing();
    await a.append(room, entry("third"));
    await seen.until(({ words }) => words.length === 3);
    expect(seen.words).toEqual(["first", "LOSE ME", "third"]);
    await lossy.close();
  }, 20_000);
});

describe("the stream", () => {
  it("holds little more of a room than is kept, and reads give exactly that", async () => {
    const prefix = newPrefix();
    const node = await opened({ servers: server.url, prefix });
    const small = roomOf("small", { messages: 10, ms: 3_600_000 });
    for (const i of numbers(1, 200)) keptOffset(await node.append(small, entry(`m${i}`)));
    const info = await jetstream(server.url, `STREAM.INFO.${prefix}-log`);
    expect((info["state"] as { messages: number }).messages).toBeLessThan(100);
    const other = await opened({ servers: server.url, prefix });
    const entries = await other.read(small, 0, 100);
    expect(entries.map(({ body }) => body)).toEqual(numbers(191, 200).map((i) => `m${i}`));
    const { trimmed, head, epoch } = await other.state(small);
    expect(trimmed).toBe(entries[0]?.prev ?? entries[0]!.offset - 1);
    expect(await other.count!(small, 0, head, epoch)).toBe(10);
  });
});
