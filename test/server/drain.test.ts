import { once } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Connected } from "../../src/server/connected.ts";
import { drain } from "../../src/server/drain.ts";
import type { Peer } from "../support/socket.ts";
import { Gate } from "./support/backend.ts";
import { FakeClock } from "./support/clock.ts";
import { eventually, open, serve } from "./support/hub.ts";

/** When each connection closes, in ms from now. */
async function closeTimes(peers: readonly Peer[]): Promise<number[]> {
  const start = performance.now();
  return Promise.all(
    peers.map(async (peer) => {
      const [code] = (await once(peer.socket, "close")) as [number];
      expect(code).toBe(1012);
      return performance.now() - start;
    }),
  );
}

/** A connection that has nothing to be answered, and closes at once. */
function idle(closed: () => void): Connected {
  const connection = { isWelcome: true, isGone: false, closed: false, pending: 0, retryAfterMs: 0 };
  const close = (): void => {
    connection.closed = connection.isGone = true;
    closed();
  };
  return Object.assign(connection, { close, send: () => undefined, stopReading: () => undefined }) as never;
}

describe("a drain", () => {
  afterEach(() => void vi.useRealTimers());

  it("spreads the closes evenly over its time", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
    const start = performance.now();
    const closedAt: number[] = [];
    const connections = Array.from({ length: 4 }, () => idle(() => closedAt.push(performance.now() - start)));
    const drained = drain(connections, { drainMs: 400, random: () => 0.5 });
    await vi.runAllTimersAsync();
    await drained;
    expect(closedAt).toEqual([50, 150, 250, 350]);
    expect(connections.map(({ retryAfterMs }) => retryAfterMs)).toEqual([1_000, 1_000, 1_000, 1_000]);
  });
});

describe("a hub that closes (P-53)", () => {
  it("tells everyone at once, each a time of its own, and closes them within its time", async () => {
    const { hub, connect } = await serve();
    const peers = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(`u${i}`)));
    const times = closeTimes(peers);
    const closed = hub.close({ drainMs: 400 });
    const told = await Promise.all(peers.map((peer) => peer.expect({ type: "drain", retry_after_ms: "$integer" })));
    expect(new Set(told.map((frame) => frame["retry_after_ms"])).size).toBeGreaterThan(5);
    await closed;
    const at = (await times).sort((a, b) => a - b);
    expect(at.at(-1)).toBeGreaterThan(300);
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("goes on as before until then: messages are kept, sent and answered", async () => {
    const { hub, member } = await serve();
    const [, ann, bob] = [await member("zoe", "r"), await member("ann", "r"), await member("bob", "r")];
    void hub.close({ drainMs: 300 });
    await ann.expect({ type: "drain" });
    ann.send({ type: "publish", id: "1", room: "r", event: "e", data: "late" });
    await ann.expectAll([
      { type: "ack", re: "1", offset: 1 },
      { type: "message", data: "late" },
    ]);
    await bob.until({ type: "message", data: "late" });
  });

  it("answers every request that was read, then closes", async () => {
    const gate = new Gate();
    const { hub, member } = await serve();
    hub.on("**", { publish: { slow: () => gate.passed } });
    const ann = await member("ann", "r");
    for (const id of ["1", "2", "3"]) ann.send({ type: "publish", id, room: "r", event: "slow", echo: false });
    ann.send({ type: "ping", id: "read" });
    await ann.expect({ type: "pong", re: "read" });
    const closed = hub.close({ drainMs: 1_000 });
    await ann.expect({ type: "drain" });
    // Later than the close would come to one who asked for nothing.
    setTimeout(gate.open, 650);
    for (const re of ["1", "2", "3"]) await ann.until({ type: "ack", re });
    await ann.expectClose(1012);
    await closed;
  });

  it("waits no longer than its time for a handler that never ends", async () => {
    const { hub, member } = await serve();
    hub.on("**", { publish: { never: () => new Promise(() => undefined) } });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "never" });
    ann.send({ type: "ping", id: "read" });
    await ann.expect({ type: "pong", re: "read" });
    const start = performance.now();
    await hub.close({ drainMs: 150 });
    expect(performance.now() - start).toBeLessThan(1_000);
    await ann.expectClose(1012);
  });

  it("lets nobody in and is not ready", async () => {
    const { hub, port, connect } = await serve();
    await connect("ann");
    expect(await hub.ready()).toEqual({ ready: true, reasons: [] });
    const closed = hub.close({ drainMs: 200 });
    await expect(open(port, { query: { token: "bob" } })).rejects.toThrow("refused with 503");
    expect(await hub.ready()).toEqual({ ready: false, reasons: ["draining"] });
    await closed;
  });

  it("says nothing but `auth_required` to one who is not welcome yet (P-12)", async () => {
    const { hub, port } = await serve();
    const ann = await open(port);
    await ann.expect({ type: "auth_required" });
    await hub.close({ drainMs: 0 });
    await ann.expectClose(1012);
    expect(ann.pending()).toEqual([]);
  });

  it("closes once, however often it is asked to", async () => {
    const { hub, member } = await serve();
    const ann = await member("ann", "r");
    await Promise.all([hub.close({ drainMs: 50 }), hub.close({ drainMs: 0 })]);
    expect(ann.log.filter((text) => text.includes('"drain"'))).toHaveLength(1);
  });
});

describe("the grace of a member that was told to come back later (P-41)", () => {
  it("begins when that time is over", async () => {
    const clock = new FakeClock();
    const { hub, connect, member } = await serve({}, { clock });
    const ann = await member("ann", "r");
    // Others take the first part of the drain, so that the room still lives when ann's connection has closed.
    await Promise.all(Array.from({ length: 5 }, (_, i) => connect(`u${i}`)));
    const closed = hub.close({ drainMs: 600 });
    const { retry_after_ms: retryAfterMs } = await ann.expect({ type: "drain" });
    await ann.expectClose(1012);
    expect(Number(retryAfterMs)).toBeLessThanOrEqual(2_000);
    clock.advance(10_000 + Number(retryAfterMs) - 1);
    expect(hub.room("r").here.size).toBe(1);
    clock.advance(1);
    expect(hub.room("r").here.size).toBe(0);
    await eventually(() => hub.counts().rooms === 0);
    await closed;
  });
});
