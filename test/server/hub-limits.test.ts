import { describe, expect, it } from "vitest";
import { HookedBackend, Gate } from "./support/backend.ts";
import { FakeClock } from "./support/clock.ts";
import { eventually, open, serve } from "./support/hub.ts";

describe("limits on connections (P-15)", () => {
  it("in all: 503 before the upgrade, and room again when one has gone", async () => {
    const { hub, port, connect } = await serve({ limits: { connections: 2 } });
    const [ann] = [await connect("ann"), await connect("bob")];
    await expect(open(port, { query: { token: "cyd" } })).rejects.toThrow("refused with 503");
    await ann.close();
    await eventually(() => hub.counts().connections === 1);
    await connect("cyd");
  });

  it("by address: 429", async () => {
    const { port, connect } = await serve({ limits: { connectionsPerAddress: 1 } });
    await connect("ann");
    await expect(open(port, { query: { token: "bob" } })).rejects.toThrow("refused with 429");
  });

  it("by user: 4300 after authentication, and others are let in", async () => {
    const { hub, port, connect } = await serve({ limits: { connectionsPerUser: 2 } });
    const [first] = [await connect("ann"), await connect("ann")];
    const third = await open(port, { query: { token: "ann" } });
    await third.expectClose(4300);
    expect(third.log).toEqual([]);
    await connect("bob");
    await first.close();
    await eventually(() => hub.counts().connections === 2);
    await connect("ann");
  });
});

describe("the limit on rooms (P-27)", () => {
  it("refuses one more, and counts joins that are under way", async () => {
    const backend = new HookedBackend();
    const { connect } = await serve({ backend, limits: { rooms: 3 } });
    const ann = await connect("ann");
    const gate = new Gate();
    backend.hook = (call, when) => (call === "subscribe" && when === "before" ? gate.passed : undefined);
    for (const room of ["a", "b", "c", "d"]) ann.send({ type: "join", id: room, room });
    await ann.expect({ type: "error", re: "d", room: "d", code: "too_many_rooms" });
    gate.open();
    await ann.expectAll(["a", "b", "c"].map((room) => ({ type: "joined", room })));
    ann.send({ type: "join", id: "again", room: "a" });
    await ann.expect({ type: "joined", re: "again" });
    ann.send({ type: "leave", room: "a" });
    ann.send({ type: "join", room: "d" });
    await ann.expectAll([{ type: "left" }, { type: "joined", room: "d" }]);
  });
});

describe("the limit on requests that wait", () => {
  it("refuses one more with a time to wait, and answers all that it took", async () => {
    const gate = new Gate();
    const { hub, member } = await serve({ limits: { pendingRequests: 5 } });
    hub.on("**", { publish: { slow: () => gate.passed } });
    const ann = await member("ann", "r");
    for (let i = 1; i <= 6; i++) ann.send({ type: "publish", id: String(i), room: "r", event: "slow", echo: false });
    await ann.expect({ type: "error", re: "6", code: "rate_limited" });
    gate.open();
    for (const re of ["1", "2", "3", "4", "5"]) await ann.until({ type: "ack", re });
  });
});

describe("credentials whose check does not end", () => {
  it.each<[string, Record<string, string>]>([
    ["in the handshake", { token: "ann" }],
    ["as the first message", {}],
  ])("%s close with 1013 when the time for it is over", async (_, query) => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ auth: () => new Promise(() => undefined) }, { clock });
    const ann = await open(port, { query });
    if (query["token"] === undefined) {
      await ann.expect({ type: "auth_required" });
      ann.send({ type: "auth", token: "ann" });
    }
    await eventually(() => hub.counts().connections === 1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    clock.advance(9_500);
    expect(hub.counts().connections).toBe(1);
    clock.advance(750);
    await ann.expect({ type: "error", code: "unavailable" });
    await ann.expectClose(1013);
  });
});

describe("deflate", () => {
  it("changes neither the order nor the content of what anybody gets", async () => {
    const { hub, connect } = await serve({ deflate: true, limits: { requestsPerS: 100_000 } });
    const plain = await connect("ann");
    const deflated = await connect("bob", { deflate: true });
    expect([plain.socket.extensions, deflated.socket.extensions]).toEqual(["", "permessage-deflate"]);
    for (const peer of [plain, deflated]) {
      peer.send({ type: "join", room: "r" });
      await peer.expect({ type: "joined" });
    }
    const [id] = hub.user("bob").here.connections;
    for (let i = 1; i <= 300; i++) {
      // Over and under the size from which ws compresses; direct frames come in between.
      void hub.room("r").publish("e", `${i} ${"é".repeat(i % 3 === 0 ? 5_000 : 5)}`);
      if (i % 7 === 0) hub.connection(id!)?.signal("direct", i);
      if (i % 10 === 0) deflated.send({ type: "ping", id: String(i) });
      if (i % 25 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const last = { type: "message", offset: 300 };
    await Promise.all([plain.until(last), deflated.until(last)]);
    const messages = (log: string[]): string[] => log.filter((text) => text.startsWith('{"type":"message"'));
    expect(messages(deflated.log)).toEqual(messages(plain.log));
    const offsets = messages(plain.log).map((text) => (JSON.parse(text) as { offset: number }).offset);
    expect(offsets).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    const seen = deflated.log.map((text) => JSON.parse(text) as { type: string; data: number });
    expect(seen.filter(({ type }) => type === "signal").map(({ data }) => data)).toEqual(
      Array.from({ length: 42 }, (_, i) => (i + 1) * 7),
    );
  });

  it("cuts a peer that does not read, by what ws has queued for it", async () => {
    const { hub, connect } = await serve({ deflate: true, limits: { outboxBytes: 200_000 } });
    const ann = await connect("ann", { deflate: true });
    ann.send({ type: "join", room: "r" });
    await ann.expect({ type: "joined" });
    ann.socket.pause();
    let noise = "";
    for (let i = 0; i < 4_000; i++) noise += Math.random().toString(36);
    await eventually(() => {
      void hub.room("r").publish("e", noise);
      return hub.counts().connections === 0;
    }, 10_000);
  });
});

/** What keeps this process alive, by kind. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = { Timeout: 0, TCPSocketWrap: 0, TCPServerWrap: 0, Immediate: 0 };
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

describe("when all have gone (invariant 13)", () => {
  it("and the hub is closed, nothing keeps the process alive", async () => {
    const before = resources();
    const { hub, member } = await serve({ deflate: true });
    for (let i = 0; i < 5; i++) await member(`u${i}`, "r", { presence: true });
    const gone = await member("gone", "r");
    gone.destroy();
    await hub.room("r").publish("e", 1);
    expect(resources()["TCPSocketWrap"]).toBeGreaterThan(before["TCPSocketWrap"] ?? 0);
    await hub.close({ drainMs: 20 });
    const kinds = ["Timeout", "TCPSocketWrap", "TCPServerWrap", "Immediate"];
    await eventually(() => kinds.every((kind) => (resources()[kind] ?? 0) <= (before[kind] ?? 0)));
  });

  it("nothing is left: connections, rooms, subscriptions, timers", async () => {
    const clock = new FakeClock();
    const backend = new HookedBackend();
    const subscribed = new Set<object>();
    const subscribe = backend.subscribe.bind(backend);
    backend.subscribe = async (room, listener) => {
      const subscription = await subscribe(room, listener);
      subscribed.add(subscription);
      return { ...subscription, close: () => (subscribed.delete(subscription), subscription.close()) };
    };
    const { hub, member, connect } = await serve({ backend, limits: { presenceMembers: 2 } }, { clock });
    const peers = [];
    for (let i = 0; i < 30; i++) peers.push(await member(`u${i % 10}`, `r${i % 4}`, { presence: true }));
    expect([hub.counts(), subscribed.size]).toEqual([{ connections: 30, rooms: 4 }, 4]);
    for (const [i, peer] of peers.entries()) {
      if (i % 3 === 0) peer.destroy();
      else if (i % 3 === 1) peer.socket.close(1000);
      else {
        peer.send({ type: "leave", room: `r${i % 4}` });
        await peer.settled();
        peer.socket.close(1001);
      }
    }
    // One that goes while its join is under way.
    const gate = new Gate();
    backend.hook = (call, when) => (call === "state" && when === "before" ? gate.passed : undefined);
    const late = await connect("late");
    late.send({ type: "join", room: "r9", history: 5 });
    await late.settled();
    late.destroy();
    await eventually(() => hub.counts().connections === 0);
    gate.open();
    clock.advance(10_000);
    await eventually(() => hub.counts().rooms === 0);
    expect([hub.counts(), subscribed.size, clock.timers]).toEqual([{ connections: 0, rooms: 0 }, 0, 0]);
    expect(await hub.rooms()).toEqual({ rooms: [], more: false });
  });
});
