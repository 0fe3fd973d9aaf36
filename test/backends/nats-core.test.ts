import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nats } from "../../src/backends/nats/index.ts";
import { backendSuite } from "../../src/testing/backend-suite.ts";
import { numbers, roomOf } from "../../src/testing/backend/tools.ts";
import { type NatsServer, startNats } from "../support/engines/nats.ts";
import { closeAll, newPrefix, opened, told } from "./fixtures/nats.ts";

let server: NatsServer;
beforeAll(async () => {
  server = await startNats({ jetstream: false });
});
afterAll(() => server.stop());
closeAll();

backendSuite(
  "nats, core",
  () => {
    const prefix = newPrefix();
    const make = (): ReturnType<typeof nats> => nats({ servers: server.url, prefix, log: false });
    return Promise.resolve({
      backend: make(),
      second: () => Promise.resolve(make()),
      destroy: () => Promise.resolve(),
    });
  },
  { describe, it, expect },
);

describe("core NATS", () => {
  const room = roomOf("room", { messages: 0, ms: 0 });

  it("gives a ticket to one taker alone, on whatever node, and knows what was set before a node came", async () => {
    const options = { servers: server.url, prefix: newPrefix(), log: false };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    await Promise.all(numbers(1, 1_200).map((i) => a.set(`f${i}`, `${i}`, 60_000)));
    const late = await opened(options);
    expect([await late.get("f1"), await late.get("f1200")]).toEqual(["1", "1200"]);
    await expect.poll(() => b.get("f1200")).toBe("1200");
    const takers = await Promise.all(numbers(1, 30).flatMap(() => [a, b, late].map((node) => node.take("f7"))));
    expect(takers.filter((value) => value !== undefined)).toEqual(["7"]);
    const left = [await a.get("f7"), await b.get("f7"), await late.get("f7")];
    expect(left).toEqual([undefined, undefined, undefined]);
  });

  it("holds a fact for as long as was asked, also where nodes' clocks are wrong by hours", async () => {
    const options = { servers: server.url, prefix: newPrefix(), log: false };
    const [late, early] = await Promise.all(
      [-7_200_000, 7_200_000].map((off) => opened(options, () => Date.now() + off)),
    );
    await late!.set("revoked", "1", 60_000);
    await early!.set("spent", "1", 1);
    await expect.poll(() => early!.get("revoked")).toBe("1");
    await expect.poll(() => late!.get("spent")).toBeUndefined();
    const third = await opened(options);
    expect(await third.get("revoked")).toBe("1");
  });

  it("keeps a fact whose owner is gone, and gives it to nobody: better lost than spent twice", async () => {
    const options = { servers: server.url, prefix: newPrefix(), log: false };
    const [a, b] = await Promise.all([opened(options), opened(options)]);
    await a.set("revoked", "1", 60_000);
    await expect.poll(() => b.get("revoked")).toBe("1");
    await a.close();
    expect(await b.get("revoked")).toBe("1");
    expect(await b.take("revoked")).toBeUndefined();
    expect(await b.get("revoked")).toBeUndefined();
  });

  it("passes texts on between nodes in order, says who else is there, and tells of a break", async () => {
    const own = await startNats({ jetstream: false });
    try {
      const options = { servers: own.url, prefix: newPrefix(), log: false, waitMs: 1_000 };
      const [a, b] = await Promise.all([opened(options), opened(options)]);
      const onA = await told(a, room);
      expect(await onA.subscription.others()).toBe(0);
      const onB = await told(b, room);
      expect(await onA.subscription.others()).toBeUndefined();
      for (const i of numbers(1, 50)) void a.relay(room, `${i}`);
      await onB.until(({ words }) => words.length === 50);
      expect(onB.words).toEqual(numbers(1, 50).map((i) => `relayed ${i}`));
      expect(onA.words).toEqual(onB.words);
      await own.kill();
      await expect
        .poll(() =>
          a.relay(room, "lost").then(
            () => "sent",
            (error: Error) => error.name,
          ),
        )
        .toBe("BackendUnavailable");
      await expect(a.check()).rejects.toMatchObject({ name: "BackendUnavailable" });
      await own.restart();
      await Promise.all([onA, onB].map((each) => each.until(({ words }) => words.includes("interrupted"))));
      await a.relay(room, "again");
      await onB.until(({ words }) => words.includes("relayed again"));
      await a.check();
    } finally {
      await own.stop();
    }
  }, 20_000);

  it("is not taken for JetStream: a backend with a log says what to do", async () => {
    const backend = nats({ servers: server.url, prefix: newPrefix() });
    await expect(backend.open({ now: Date.now, log: () => undefined })).rejects.toThrow(/JetStream is off.*-js/);
    const nowhere = nats({ servers: "nats://127.0.0.1:1" });
    await expect(nowhere.open({ now: Date.now, log: () => undefined })).rejects.toThrow(
      /127.0.0.1:1 cannot be reached/,
    );
  });
});
