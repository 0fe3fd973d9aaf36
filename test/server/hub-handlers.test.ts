import { describe, expect, it } from "vitest";
import { Refused } from "../../src/server/refused.ts";
import { Gate } from "./support/backend.ts";
import { eventually, open, serve } from "./support/hub.ts";

describe("authorize", () => {
  it("that says false keeps a user out, and gives the room's parameters and the identity", async () => {
    const asked: unknown[] = [];
    const { hub, connect } = await serve({ rooms: { "team/:team/:room": {} } });
    hub.on("team/:team/:room", {
      authorize: ({ room, params, user, identity, connection }) => {
        asked.push([room, params, user, identity.user, typeof connection]);
        return params.team === "blue";
      },
    });
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "team/red/x" });
    await ann.expect({ type: "error", re: "1", room: "team/red/x", code: "forbidden" });
    ann.send({ type: "join", id: "2", room: "team/blue/x" });
    await ann.expect({ type: "joined", re: "2", rights: ["publish", "signal", "presence", "history"] });
    expect(asked[0]).toEqual(["team/red/x", { team: "red", room: "x" }, "ann", "ann", "string"]);
  });

  it("that lists rights gives these and no more than the credentials do", async () => {
    const { hub, connect } = await serve();
    hub.on("**", { authorize: () => ["signal", "history", "publish"] });
    const ann = await connect({ user: "ann", rooms: { "**": ["join", "signal", "presence"] } });
    ann.send({ type: "join", room: "r" });
    await ann.expect({ type: "joined", rights: ["signal"] });
    for (const [i, request] of [
      { type: "publish", event: "e" },
      { type: "presence", data: 1 },
      { type: "history", limit: 1 },
      { type: "join", history: 3 },
      { type: "join", presence: true },
    ].entries()) {
      ann.send({ room: "r", id: String(i), ...request });
      await ann.expect({ type: "error", re: String(i), code: "forbidden" });
    }
  });

  it("that throws is internal for that join only", async () => {
    const { hub, connect, logged } = await serve();
    hub.on("**", {
      authorize: ({ room }) => {
        if (room === "bad") throw new Error("a secret");
        return true;
      },
    });
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "bad" });
    ann.send({ type: "join", id: "2", room: "good" });
    await ann.expectAll([
      { type: "error", re: "1", code: "internal" },
      { type: "joined", re: "2" },
    ]);
    expect(ann.log.join()).not.toContain("secret");
    expect(logged).toContain("error a handler failed");
  });
});

describe("a publish handler", () => {
  it("changes what is kept, and gives the sender a result", async () => {
    const { hub, member } = await serve();
    hub.on("**", {
      publish: { add: ({ data, user, event }) => ({ data: { sum: data, user, event }, result: { done: true } }) },
    });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "add", data: 4 });
    await ann.expectAll([
      { type: "message", data: { sum: 4, user: "ann", event: "add" } },
      { type: "ack", re: "1", offset: 1, result: { done: true } },
    ]);
  });

  it("refuses with a code and a message of its own, and nothing is kept", async () => {
    const { hub, member } = await serve();
    hub.on("**", {
      publish: {
        add: () => {
          throw new Refused("rate_limited", "one a minute", { retryAfterMs: 60_000 });
        },
      },
    });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "add" });
    await ann.expect({ type: "error", re: "1", code: "rate_limited", message: "one a minute", retry_after_ms: 60_000 });
    expect(await hub.room("r").history()).toEqual([]);
  });

  it("that throws is internal for that request only, and its text never reaches the peer", async () => {
    const { hub, member } = await serve();
    hub.on("**", {
      publish: {
        bad: () => Promise.reject(new Error("postgres://secret")),
        good: () => undefined,
      },
    });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "bad" });
    ann.send({ type: "publish", id: "2", room: "r", event: "good" });
    ann.send({ type: "publish", id: "3", room: "r", event: "without" });
    await ann.expect({ type: "error", re: "1", room: "r", code: "internal" });
    await ann.expectAll([
      { type: "ack", re: "2", offset: 1 },
      { type: "message", offset: 1 },
      { type: "ack", re: "3", offset: 2 },
      { type: "message", offset: 2 },
    ]);
    expect(ann.log.join()).not.toContain("secret");
  });

  it("that is slow delays the room's later requests of its connection, and nobody else", async () => {
    const slow = new Gate();
    const { hub, member } = await serve();
    hub.on("**", { publish: { slow: () => slow.passed } });
    const ann = await member("ann", "r");
    const bob = await member("bob", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "slow" });
    ann.send({ type: "publish", id: "2", room: "r", event: "fast" });
    ann.send({ type: "leave", id: "3", room: "r" });
    ann.send({ type: "join", id: "4", room: "other" });
    await ann.expect({ type: "joined", re: "4" });
    bob.send({ type: "publish", id: "b", room: "r", event: "bob's" });
    await bob.expectAll([
      { type: "ack", re: "b", offset: 1 },
      { type: "message", offset: 1 },
    ]);
    slow.open();
    await ann.until({ type: "left", re: "3" });
    const order = ann.log.map((text) => JSON.parse(text)).filter(({ re }) => ["1", "2", "3"].includes(re));
    expect(order.map(({ type, re }) => `${type} ${re}`)).toEqual(["ack 1", "ack 2", "left 3"]);
    await bob.expect({ type: "message", event: "slow", offset: 2 });
    await bob.expect({ type: "message", event: "fast", offset: 3 });
  });

  it("runs once for a key, and a repeat gets the first one's result over any connection", async () => {
    let runs = 0;
    const { hub, member } = await serve();
    hub.on("**", { publish: { pay: () => ({ data: "changed", result: { receipt: ++runs } }) } });
    const ann = await member("ann", "r");
    const publish = { type: "publish", key: "k", room: "r", event: "pay", data: 10 };
    ann.send({ ...publish, id: "1" });
    ann.send({ ...publish, id: "2" });
    await ann.expectAll([
      { type: "message", key: "k", data: "changed" },
      { type: "ack", re: "1", offset: 1, result: { receipt: 1 }, duplicate: "$absent" },
      { type: "ack", re: "2", offset: 1, result: { receipt: 1 }, duplicate: true },
    ]);
    const device = await member("ann", "r");
    device.send({ ...publish, id: "3" });
    await device.expect({ type: "ack", re: "3", offset: 1, result: { receipt: 1 }, duplicate: true });
    device.send({ ...publish, id: "4", data: 11 });
    await device.expect({ type: "error", re: "4", code: "conflict" });
    const bob = await member("bob", "r");
    bob.send({ ...publish, id: "5" });
    await bob.expectAll([
      { type: "ack", re: "5", offset: 2, duplicate: "$absent" },
      { type: "message", offset: 2 },
    ]);
    expect(runs).toBe(2);
  });

  it("is not found by a name of Object's own", async () => {
    const { hub, member } = await serve();
    hub.on("**", { publish: {} });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "constructor", data: 1 });
    await ann.expectAll([
      { type: "ack", re: "1" },
      { type: "message", event: "constructor", data: 1 },
    ]);
  });
});

describe("join and leave handlers", () => {
  it("are told who comes, with what, and who has gone, however that was", async () => {
    const told: string[] = [];
    const { hub, connect, member } = await serve();
    hub.on("**", {
      join: ({ user, data }) => void told.push(`join ${user} ${JSON.stringify(data)}`),
      leave: ({ user, room }) => void told.push(`leave ${user} ${room}`),
    });
    const ann = await connect("ann");
    ann.send({ type: "join", room: "r", data: { a: 1 } });
    await ann.expect({ type: "joined" });
    ann.send({ type: "leave", room: "r" });
    await ann.expect({ type: "left" });
    const bob = await member("bob", "r");
    bob.destroy();
    await eventually(() => told.length === 4);
    const cyd = await member("cyd", "r");
    await hub.room("r").remove("cyd");
    await cyd.expect({ type: "left", reason: "removed" });
    await eventually(() => told.length === 6);
    expect(told).toEqual([
      'join ann {"a":1}',
      "leave ann r",
      "join bob undefined",
      "leave bob r",
      "join cyd undefined",
      "leave cyd r",
    ]);
  });

  it("do not run for what stands behind a misuse that closed the connection", async () => {
    const gate = new Gate();
    let joins = 0;
    const { hub, port } = await serve({ auth: () => gate.passed.then(() => ({ user: "ann" })) });
    hub.on("**", { join: () => void joins++ });
    const ann = await open(port, { query: { token: "t" } });
    for (let i = 0; i < 10; i++) ann.text("no JSON");
    ann.send({ type: "join", room: "r" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    gate.open();
    await ann.expectClose(4000);
    expect([joins, hub.counts()]).toEqual([0, { connections: 0, rooms: 0 }]);
  });

  it("that throw when someone leaves disturb nobody", async () => {
    const { hub, member, logged } = await serve();
    hub.on("**", { leave: () => Promise.reject(new Error("a secret")) });
    const ann = await member("ann", "r");
    ann.send({ type: "leave", id: "1", room: "r" });
    await ann.expect({ type: "left", re: "1" });
    const bob = await member("bob", "r");
    bob.destroy();
    await eventually(() => logged.filter((line) => line.includes("a handler failed")).length === 2);
  });
});
