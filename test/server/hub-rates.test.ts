import { describe, expect, it } from "vitest";
import type { Json } from "../../src/protocol/json.ts";
import { createHub } from "../../src/server/hub.ts";
import { blockOf, RateLimits } from "../../src/server/rate-limits.ts";
import type { Rates } from "../../src/server/rates.ts";
import type { Peer } from "../support/socket.ts";
import { FakeClock } from "./support/clock.ts";
import { eventually, open, serve } from "./support/hub.ts";

const many = { requestsPerS: 100_000 };

function publish(peer: Peer, id: string, more: Record<string, Json> = {}): void {
  peer.send({ type: "publish", id, room: "r", event: "e", data: id, ...more });
}

/** What became of requests, in the order of their answers. */
async function outcomes(peer: Peer, count: number): Promise<string[]> {
  const told: string[] = [];
  while (told.length < count) {
    const frame = await peer.next();
    if (frame["type"] === "ack") told.push(`${String(frame["re"])} kept`);
    else if (frame["type"] === "error") told.push(`${String(frame["re"])} ${String(frame["code"])}`);
  }
  return told;
}

/** The texts of the room's log. */
async function logged(hub: { room(name: string): { history(): Promise<{ data: Json }[]> } }): Promise<Json[]> {
  return (await hub.room("r").history()).map(({ data }) => data);
}

describe("rates as options", () => {
  it.each<[string, object, string]>([
    ["unknown", { userPublishesPerS: 1 }, "unknown rate userPublishesPerS; known: userRequestsPerS,"],
    ["zero", { userRequestsPerS: 0 }, "rate userRequestsPerS must be a number from 0.001 to 1000000, got 0"],
    ["no number", { roomSendsPerS: "5" }, "rate roomSendsPerS must be a number from 0.001 to 1000000, got 5"],
    ["endless", { addressConnectsPerS: Infinity }, "rate addressConnectsPerS must be a number"],
    [
      "a burst with a fraction",
      { userRequestsPerS: 1, userRequestsBurst: 1.5 },
      "rate userRequestsBurst must be an integer from 1",
    ],
    ["a burst without its rate", { roomSendsBurst: 5 }, "rate roomSendsBurst needs roomSendsPerS"],
  ])("are refused where one is %s", (_, rates, message) => {
    expect(() => createHub({ rates: rates })).toThrow(message);
  });

  it("let two seconds' worth come at once, and one at least", () => {
    const counts = { rateLimited: () => undefined };
    const passing = (rates: Rates): number => {
      const limits = new RateLimits(rates, () => 0, counts);
      return Array.from({ length: 100 }, () => limits.request({ user: "ann" }, 1)).filter((ms) => ms === 0).length;
    };
    expect(passing({ userRequestsPerS: 10 })).toBe(20);
    expect(passing({ userRequestsPerS: 0.2 })).toBe(1);
    expect(passing({ userRequestsPerS: 0.2, userRequestsBurst: 7 })).toBe(7);
    expect(passing({})).toBe(100);
  });
});

describe("an address", () => {
  it.each([
    ["10.0.0.1", "10.0.0.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:ffff::", "2001:db8:1:2::/64"],
    ["2001:db8::5", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ])("%s counts as %s", (address, block) => {
    expect(blockOf(address)).toBe(block);
  });
});

describe("the rate of a user", () => {
  it("is of all connections together, and tells when to try again", async () => {
    const clock = new FakeClock();
    const options = { limits: many, rates: { userRequestsPerS: 2, userRequestsBurst: 4 } };
    const { member } = await serve(options, { clock });
    const [one, two, bob] = [await member("ann", "r"), await member("ann", "r"), await member("bob", "r")];
    for (let i = 0; i < 3; i++) publish(one, String(i));
    expect(await outcomes(one, 3)).toEqual(["0 kept", "1 kept", "2 kept"]);
    for (let i = 3; i < 6; i++) publish(two, String(i));
    expect(await outcomes(two, 3)).toEqual(["3 kept", "4 rate_limited", "5 rate_limited"]);
    publish(one, "6");
    await one.until({ type: "error", re: "6", room: "r", code: "rate_limited", retry_after_ms: 500 });
    publish(bob, "7");
    await bob.until({ type: "ack", re: "7" });
    clock.advance(500);
    publish(one, "8");
    await one.until({ type: "ack", re: "8" });
  });

  it("holds back every later publish of the connection until the time that was told is over", async () => {
    const clock = new FakeClock();
    const options = { limits: many, rates: { userRequestsPerS: 3, userRequestsBurst: 1 } };
    const { hub, member } = await serve(options, { clock });
    const ann = await member("ann", "r");
    for (const id of ["a", "b"]) publish(ann, id);
    await ann.until({ type: "error", re: "b", code: "rate_limited", retry_after_ms: 334 });
    // There is room after 333.4 ms, but that belongs to the one that was refused before.
    clock.advance(333.5);
    publish(ann, "c");
    await ann.until({ type: "error", re: "c", code: "rate_limited", retry_after_ms: 1 });
    clock.advance(0.5);
    publish(ann, "b");
    await ann.until({ type: "ack", re: "b" });
    expect(await logged(hub)).toEqual(["a", "b"]);
  });

  it("counts a page of history as ten, joins beyond the first, and what cannot be read", async () => {
    const options = { limits: { ...many, rooms: 2 }, rates: { userRequestsPerS: 1, userRequestsBurst: 14 } };
    const { connect } = await serve(options, { clock: new FakeClock() });
    const ann = await connect("ann");
    for (const room of ["r", "s", "r"]) ann.send({ type: "join", room });
    await ann.expectAll([{ type: "joined" }, { type: "joined" }, { type: "joined" }]);
    ann.send({ type: "history", id: "h", room: "r", limit: 1 });
    await ann.until({ type: "history" });
    ann.text("{");
    await ann.until({ type: "error", code: "bad_frame" });
    ann.send({ type: "history", id: "i", room: "r", limit: 1 });
    await ann.until({ type: "error", re: "i", code: "rate_limited", retry_after_ms: 8_000 });
    for (const id of ["1", "2"]) ann.send({ type: "presence", id, room: "r", data: 1 });
    expect(await outcomes(ann, 2)).toEqual(["1 kept", "2 kept"]);
    ann.text("{");
    await ann.until({ type: "error", code: "rate_limited" });
  });

  it("is not asked for what keeps a connection alive or takes it out of a room", async () => {
    const options = { limits: many, rates: { userRequestsPerS: 0.001, userRequestsBurst: 1 } };
    const { member } = await serve(options, { clock: new FakeClock() });
    const ann = await member("ann", "r");
    for (const id of ["a", "b"]) publish(ann, id);
    await ann.until({ type: "error", re: "b" });
    ann.send({ type: "ping", id: "p" });
    await ann.until({ type: "pong", re: "p" });
    ann.send({ type: "auth", id: "t", token: "ann" });
    await ann.until({ type: "authed", re: "t" });
    ann.send({ type: "leave", id: "l", room: "r" });
    expect(await ann.until({ type: "left", re: "l" })).not.toHaveProperty("reason");
  });

  it("closes nobody for flooding who keeps to the connection's own rate", async () => {
    const clock = new FakeClock();
    const options = { limits: { requestsPerS: 10 }, rates: { userRequestsPerS: 0.001, userRequestsBurst: 1 } };
    const { member } = await serve(options, { clock });
    const ann = await member("ann", "r");
    publish(ann, "first");
    for (let i = 0; i < 300; i++) {
      publish(ann, String(i));
      await ann.until({ type: "error", re: String(i), code: "rate_limited" });
      clock.advance(100);
    }
    ann.send({ type: "ping", id: "p" });
    expect(await ann.until({ type: "pong" })).toMatchObject({ re: "p" });
  });

  it("closes one who does not, as ever", async () => {
    const clock = new FakeClock();
    const options = { limits: { requestsPerS: 10 }, rates: { userRequestsPerS: 0.001, userRequestsBurst: 1 } };
    const { member } = await serve(options, { clock });
    const ann = await member("ann", "r");
    for (let i = 0; ann.socket.readyState === ann.socket.OPEN && i < 300; i++) {
      for (let n = 0; n < 3; n++) publish(ann, `${i}.${n}`);
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(100);
    }
    await ann.expectClose(4301);
  });
});

describe("the rate of a room", () => {
  it("is of all users together, signals too, and of no other room", async () => {
    const clock = new FakeClock();
    const options = { limits: many, rates: { roomSendsPerS: 1, roomSendsBurst: 3 } };
    const { hub, member } = await serve(options, { clock });
    const [ann, bob] = [await member("ann", "r"), await member("bob", "r")];
    publish(ann, "1");
    await ann.until({ type: "ack" });
    bob.send({ type: "signal", room: "r", event: "e" });
    await ann.until({ type: "signal" });
    publish(bob, "2");
    publish(bob, "3");
    expect(await outcomes(bob, 2)).toEqual(["2 kept", "3 rate_limited"]);
    bob.send({ type: "signal", id: "s", room: "r", event: "e" });
    await bob.until({ type: "error", re: "s", room: "r", code: "rate_limited", retry_after_ms: 1_000 });
    bob.send({ type: "join", room: "s" });
    await bob.until({ type: "joined" });
    bob.send({ type: "publish", id: "4", room: "s", event: "e" });
    await bob.until({ type: "ack", re: "4" });
    expect(await logged(hub)).toEqual(["1", "2"]);
  });

  it("holds back the publishes of the connection into that room, and into no other", async () => {
    const clock = new FakeClock();
    const options = { limits: many, rates: { roomSendsPerS: 3, roomSendsBurst: 1 } };
    const { hub, member } = await serve(options, { clock });
    const [ann, bob] = [await member("ann", "r"), await member("bob", "r")];
    ann.send({ type: "join", room: "s" });
    await ann.until({ type: "joined" });
    for (const id of ["a", "b"]) publish(ann, id);
    await ann.until({ type: "error", re: "b", code: "rate_limited", retry_after_ms: 334 });
    clock.advance(333.5);
    publish(ann, "c");
    await ann.until({ type: "error", re: "c", code: "rate_limited", retry_after_ms: 1 });
    ann.send({ type: "publish", id: "d", room: "s", event: "e" });
    await ann.until({ type: "ack", re: "d" });
    publish(bob, "x");
    await bob.until({ type: "ack", re: "x" });
    clock.advance(400);
    publish(ann, "b");
    await ann.until({ type: "ack", re: "b" });
    expect(await logged(hub)).toEqual(["a", "x", "b"]);
  });

  it("is not used up by who may not publish there", async () => {
    const options = { limits: many, rates: { roomSendsPerS: 1, roomSendsBurst: 1 } };
    const { member, connect } = await serve(options, { clock: new FakeClock() });
    const ann = await member("ann", "r");
    const eve = await connect({ user: "eve", rooms: { "*": ["join"] } });
    eve.send({ type: "join", room: "r" });
    await eve.until({ type: "joined" });
    publish(eve, "1");
    await eve.until({ type: "error", code: "forbidden" });
    const mal = await connect("mal");
    publish(mal, "2");
    await mal.until({ type: "error", code: "not_joined" });
    publish(ann, "3");
    expect(await outcomes(ann, 1)).toEqual(["3 kept"]);
  });

  it("does not count what the app publishes", async () => {
    const options = { limits: many, rates: { roomSendsPerS: 1, roomSendsBurst: 1 } };
    const { hub, member } = await serve(options, { clock: new FakeClock() });
    const ann = await member("ann", "r");
    for (let i = 0; i < 20; i++) await hub.room("r").publish("e", i);
    for (const id of ["1", "2"]) publish(ann, id);
    expect(await outcomes(ann, 2)).toEqual(["1 kept", "2 rate_limited"]);
    await hub.room("r").publish("e", "still");
  });
});

describe("the rates of an address", () => {
  it("refuse connects with 429 before the upgrade, until there is room again", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ rates: { addressConnectsPerS: 0.5, addressConnectsBurst: 2 } }, { clock });
    for (let i = 0; i < 2; i++) await open(port, { query: { token: "ann" } });
    const refused = await fetch(`http://127.0.0.1:${port}/ws`).catch(() => undefined);
    // A plain request is no connect.
    expect(refused?.status).toBe(426);
    await expect(open(port, { query: { token: "bob" } })).rejects.toThrow("refused with 429");
    await eventually(() => hub.counts().connections === 2);
    clock.advance(2_000);
    await open(port, { query: { token: "bob" } });
  });

  it("are by the client's address, past trusted proxies", async () => {
    const options = { trustedProxies: ["127.0.0.1"], rates: { addressConnectsPerS: 1, addressConnectsBurst: 1 } };
    const { port } = await serve(options, { clock: new FakeClock() });
    const from = (address: string): Promise<Peer> =>
      open(port, { query: { token: "ann" }, headers: { "x-forwarded-for": address } });
    await from("192.0.2.1");
    await expect(from("192.0.2.1")).rejects.toThrow("refused with 429");
    await from("192.0.2.2");
    await from("2001:db8::1");
    await expect(from("2001:db8::2")).rejects.toThrow("refused with 429");
    await from("2001:db8:0:1::1");
  });

  it("are of all users' requests there", async () => {
    const options = { limits: many, rates: { addressRequestsPerS: 1, addressRequestsBurst: 3 } };
    const { member } = await serve(options, { clock: new FakeClock() });
    const [ann, bob] = [await member("ann", "r"), await member("bob", "r")];
    for (const id of ["1", "2"]) publish(ann, id);
    await outcomes(ann, 2);
    for (const id of ["3", "4"]) publish(bob, id);
    expect(await outcomes(bob, 2)).toEqual(["3 kept", "4 rate_limited"]);
  });
});

describe("a request of which a part was counted before the rest was known", () => {
  const counts = { rateLimited: () => undefined };

  it.each([2, 3, 4, 10])("passes after the wait that it was told (%i, of a burst of 4)", (cost) => {
    let now = 0;
    const limits = new RateLimits({ userRequestsPerS: 1, userRequestsBurst: 4 }, () => now, counts);
    const ask = (): number => limits.request({ user: "ann" }, 1) || limits.request({ user: "ann" }, cost, 1);
    expect(ask()).toBe(0);
    while (limits.request({ user: "ann" }, 1) === 0);
    now += 1_000;
    const waitMs = ask();
    expect(waitMs).toBe(1_000 * Math.min(cost, 4));
    now += waitMs;
    expect(ask()).toBe(0);
  });

  it("is told to other nodes as a whole", () => {
    const limits = new RateLimits({ userRequestsPerS: 1, userRequestsBurst: 4 }, () => 0, counts);
    limits.spent();
    limits.request({ user: "ann" }, 1);
    limits.request({ user: "ann" }, 3, 1);
    expect(limits.spent()).toEqual([["userRequests", "ann", 3]]);
  });
});

describe("what another node spent", () => {
  it("counts here, and what is spent here can be told", () => {
    const counts = { rateLimited: () => undefined };
    const limits = new RateLimits({ userRequestsPerS: 1, roomSendsPerS: 1 }, () => 0, counts);
    expect(limits.spent()).toEqual([]);
    limits.request({ user: "ann", address: "10.0.0.1" }, 1);
    limits.send("r");
    expect(limits.spent()).toEqual([
      ["userRequests", "ann", 1],
      ["roomSends", "r", 1],
    ]);
    limits.observe("userRequests", "ann", 1);
    limits.observe("addressConnects", "10.0.0.1", 1);
    for (const kind of ["__proto__", "constructor", "none"]) limits.observe(kind as "roomSends", "ann", 1);
    expect(limits.request({ user: "ann" }, 1)).toBe(1_000);
  });
});
