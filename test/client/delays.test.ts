import { describe, expect, it } from "vitest";
import { delayAfter } from "../../src/client/delays.ts";
import { defaultTiming } from "../../src/client/platform.ts";
import { failure, World } from "./support/harness.ts";

const delay = (code: number, { failures = 0, hintMs = 0, random = 0.5 } = {}): number | undefined =>
  delayAfter(code, failures, hintMs, random, defaultTiming)?.ms;

/** P-61, as data: what a client does after a close, with the luck of 0.5 and no failure before. */
const table: readonly { readonly code: number; readonly ms: number | "stops" }[] = [
  { code: 1000, ms: "stops" },
  { code: 1001, ms: 2_500 },
  { code: 1012, ms: 2_500 },
  { code: 1005, ms: 500 },
  { code: 1006, ms: 500 },
  { code: 1011, ms: 500 },
  { code: 1013, ms: 500 },
  { code: 1015, ms: 500 },
  { code: 1002, ms: 45_000 },
  { code: 1007, ms: 45_000 },
  { code: 1008, ms: 45_000 },
  { code: 1003, ms: "stops" },
  { code: 1009, ms: "stops" },
  { code: 4000, ms: "stops" },
  { code: 4001, ms: "stops" },
  { code: 4003, ms: "stops" },
  { code: 4099, ms: "stops" },
  { code: 4100, ms: 500 },
  { code: 4199, ms: 500 },
  { code: 4200, ms: 500 },
  { code: 4201, ms: 500 },
  { code: 4300, ms: 45_000 },
  { code: 4301, ms: 45_000 },
  { code: 4399, ms: 45_000 },
  { code: 3000, ms: "stops" },
  { code: 4400, ms: "stops" },
];

describe("after a close", () => {
  it.each(table)("$code: $ms", async ({ code, ms }) => {
    const world = new World();
    const socket = await world.online();
    await world.pass(10_000);
    socket.ends(code);
    await world.pass(0);
    if (ms === "stops") {
      expect(world.client.status).toMatchObject({ state: "stopped", cause: { closeCode: code } });
      await world.pass(600_000);
      expect(world.sockets).toHaveLength(1);
      return;
    }
    expect(world.client.status).toMatchObject({ state: "waiting", retryInMs: ms, cause: { closeCode: code } });
    await world.pass(ms - 1);
    expect(world.sockets).toHaveLength(1);
    await world.pass(2);
    expect(world.sockets).toHaveLength(2);
  });

  it("the backoff has full jitter, doubles, and is capped", () => {
    expect([0, 1, 2, 3, 10].map((failures) => delay(1006, { failures }))).toEqual([500, 1_000, 2_000, 4_000, 15_000]);
    expect([0, 0.25, 0.999].map((random) => delay(1006, { random }))).toEqual([0, 250, 999]);
  });

  it("a server's hint is the least for every reconnect, and the whole for one that goes away", () => {
    expect(delay(1013, { hintMs: 9_000 })).toBe(9_000);
    expect(delay(1012, { hintMs: 9_000, random: 0.999 })).toBe(9_000);
    expect(delay(4300, { hintMs: 60_000 })).toBe(60_000);
  });
});

describe("a server that says how long to stay away", () => {
  it("by drain: it counts from the close, and looking at the page does not cut it short", async () => {
    const world = new World();
    const socket = await world.online();
    socket.says({ type: "drain", retry_after_ms: 4_000 });
    await world.pass(10_000);
    socket.ends(1012);
    await world.news("look");
    await world.pass(3_999);
    expect(world.sockets).toHaveLength(1);
    await world.pass(2);
    expect(world.sockets).toHaveLength(2);
  });

  it("by drain: everything goes on as before until the close", async () => {
    const world = new World();
    const room = world.client.join("lobby");
    const socket = await world.online();
    await world.admit("lobby");
    socket.says({ type: "drain", retry_after_ms: 4_000 });
    void room.publish("said", 1);
    await world.pass(0);
    expect(socket.ofType("publish")).toHaveLength(1);
  });

  it("by an error before the close", async () => {
    const world = new World();
    const socket = await world.connect();
    socket.says({ type: "error", code: "unavailable", message: "later", retry_after_ms: 20_000 });
    socket.ends(1013);
    expect(world.client.status).toMatchObject({
      state: "waiting",
      retryInMs: 20_000,
      cause: { closeCode: 1013, error: { code: "unavailable", retryAfterMs: 20_000 } },
    });
  });

  it("for ever: five minutes at most", async () => {
    const world = new World();
    const socket = await world.online();
    socket.says({ type: "drain", retry_after_ms: 9e15 });
    socket.ends(1012);
    expect(world.client.status).toMatchObject({ state: "waiting", retryInMs: 300_000 });
  });

  it("of one request: not of when to connect again", async () => {
    const world = new World();
    const socket = await world.online();
    socket.says({ type: "error", code: "rate_limited", message: "slow down", retry_after_ms: 200_000 });
    socket.ends(1006);
    expect(world.client.status).toMatchObject({ state: "waiting", retryInMs: 500 });
  });
});

describe("a client that stopped", () => {
  it("fails what waits and what comes", async () => {
    const world = new World();
    const room = world.client.join("lobby");
    const waits = failure(room.publish("said", 1));
    const pages = failure(room.history());
    const socket = await world.online();
    socket.ends(4003);
    expect((await waits).code).toBe("stopped");
    expect((await pages).code).toBe("stopped");
    expect((await failure(room.publish("said", 2))).code).toBe("stopped");
    expect((await failure(room.history())).code).toBe("stopped");
  });

  it("starts again when the app says so, with its rooms", async () => {
    const world = new World();
    world.client.join("lobby");
    const socket = await world.online();
    await world.admit("lobby");
    socket.ends(4003);
    await world.online();
    expect(world.sockets).toHaveLength(2);
    expect(world.socket.ofType("join")).toMatchObject([{ room: "lobby", since: "e:0" }]);
  });
});
