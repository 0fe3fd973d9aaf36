import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/server/auth/identity.ts";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { turnEnded } from "../server/support/pipe.ts";
import { ask, listen, member, refusal, streamPath } from "./support/reader.ts";

describe("before the server ends a stream it says why (P-73)", () => {
  it("4100 when the token expires, and its user is gone at once", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({}, { clock });
    const identity: Identity = { user: "ann", expiresAt: clock.now() + 60_000 };
    const reader = await ask(port, ["a"], { token: JSON.stringify(identity) });
    await reader.expect({ type: "welcome", expires_at: identity.expiresAt! });
    const { id } = await reader.expect({ type: "joined" });
    clock.advance(59_000);
    expect(reader.isEnded).toBe(false);
    clock.advance(1_250);
    const closed = await reader.expect({ type: "closed", code: 4100, reason: "$string" });
    expect(closed.id).toBe(id);
    await reader.ended();
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("4003 when the operator disconnects the user, whose revoked token opens no other", async () => {
    const { hub, port } = await serve();
    const token = JSON.stringify({ user: "ann", issuedAt: Date.now() - 1_000 });
    const reader = await member(port, ["a"], { token });
    await hub.user("ann").disconnect({ revoke: true });
    const { retryMs } = await reader.expect({ type: "closed", code: 4003 });
    expect(retryMs).toBeGreaterThanOrEqual(30_000);
    await reader.ended();
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
    expect(await refusal(port, ["a"], { token })).toMatchObject({ status: 401 });
  });

  it("1012 after drain, each stream at a time of its own, and it is told the same to wait", async () => {
    const { hub, port } = await serve();
    const readers = await Promise.all(Array.from({ length: 8 }, (_, i) => member(port, ["a"], { token: `u${i}` })));
    const closing = hub.close({ drainMs: 200 });
    const waits = await Promise.all(
      readers.map(async (reader) => {
        const { frame } = await reader.expect({ type: "drain", retry_after_ms: "$integer" });
        const closed = await reader.expect({ type: "closed", code: 1012 });
        expect(closed.retryMs).toBe(frame["retry_after_ms"]);
        await reader.ended();
        return closed.retryMs;
      }),
    );
    await closing;
    expect(new Set(waits).size).toBeGreaterThan(3);
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("still gets what is published while it drains", async () => {
    const { hub, port } = await serve();
    const reader = await member(port, ["a"], { token: "ann" });
    const closing = hub.close({ drainMs: 200 });
    await reader.expect({ type: "drain" });
    await hub.room("a").publish("late", 1);
    await reader.expect({ type: "message", event: "late" });
    await closing;
  });
});

describe("what was sent just before the end", () => {
  it("comes before closed", async () => {
    const { hub, port } = await serve();
    const reader = await member(port, ["a"], { token: "ann" });
    const [id = ""] = hub.user("ann").here.connections;
    hub.connection(id)?.signal("bye", 1);
    hub.connection(id)?.disconnect();
    await reader.expect({ type: "signal", event: "bye" });
    await reader.expect({ type: "closed", code: 4003 });
  });
});

describe("a user who is taken out of a room", () => {
  it("is told left as the room's last frame, and the stream goes on with the others", async () => {
    const { hub, port } = await serve();
    const reader = await member(port, ["a", "b"], { token: "ann" });
    await hub.room("a").remove("ann");
    await reader.expect({ type: "left", room: "a", reason: "removed" });
    await hub.room("a").publish("e", 1);
    await hub.room("b").publish("e", 2);
    await reader.expect({ type: "message", room: "b" });
    expect(hub.room("a").here.size).toBe(0);
  });
});

describe("time", () => {
  it("brings a comment every 15 s, and no ping", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({}, { clock });
    const reader = await member(port, ["a"], { token: "ann" });
    for (let n = 1; n <= 3; n++) {
      clock.advance(14_000);
      await hub.room("a").publish("e", n);
      await reader.expect({ type: "message", offset: n });
      expect(reader.comments).toBe(n - 1);
      clock.advance(1_250);
      await eventually(() => reader.comments === n);
    }
    expect(reader.pending()).toEqual([]);
  });

  it("that jumps ends no stream without an expiry", async () => {
    const clock = new FakeClock();
    const { port } = await serve({}, { clock });
    const reader = await member(port, ["a"], { token: "ann" });
    clock.jump(10 * 86_400_000);
    clock.advance(1_000);
    expect([reader.isEnded, reader.comments]).toEqual([false, 0]);
  });

  it("has no timer left when all streams are gone", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ limits: { graceMs: 0 } }, { clock });
    const reader = await member(port, ["a"], { token: "ann" });
    reader.destroy();
    await eventually(() => hub.counts().connections === 0);
    clock.advance(1_000);
    expect(clock.timers).toBe(0);
  });
});

describe("a reader that does not read", () => {
  const large = "x".repeat(50_000);

  it("is ended with 4200, cut when it never reads, and costs others nothing", async () => {
    const { hub, port } = await serve({ limits: { outboxBytes: 200_000, graceMs: 0 } });
    const healthy = await member(port, ["a"], { token: "bob" });
    const stalled = connect(port, "127.0.0.1");
    stalled.write(`GET ${streamPath(["a"], { token: "ann" })} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await once(stalled, "data");
    stalled.pause();
    await eventually(() => hub.room("a").here.size === 2);
    for (let n = 1; hub.room("a").here.size === 2; n++) {
      await hub.room("a").publish("e", large);
      await healthy.expect({ type: "message", offset: n });
    }
    expect(hub.counts().connections).toBe(1);
    stalled.destroy();
  });

  it("gets closed and its place when it reads on, and resumes from there with nothing lost", async () => {
    const { hub, port } = await serve({ limits: { outboxBytes: 200_000, graceMs: 0 } });
    const slow = await member(port, ["a"], { token: "ann" });
    slow.response.pause();
    slow.socket.pause();
    let published = 0;
    while (hub.room("a").here.size === 1) {
      published = (await hub.room("a").publish("e", large)).offset ?? 0;
      await turnEnded(1);
    }
    slow.socket.resume();
    slow.response.resume();
    await slow.ended();
    const events = slow.pending();
    expect(events.at(-1)).toMatchObject({ frame: { type: "closed", code: 4200 } });
    expect(events.at(-1)?.retryMs).toBeLessThanOrEqual(3_000);
    const seen = events.slice(0, -1).map(({ frame }) => frame["offset"]);
    const again = await listen(port, ["a"], { token: "ann", lastEventId: slow.lastId });
    await again.expect({ type: "joined", recovered: true });
    while (seen.at(-1) !== published) seen.push((await again.expect({ type: "message" })).frame["offset"]);
    expect(seen).toEqual(Array.from({ length: published }, (_, i) => i + 1));
  });

  it("is left out of signals before that", async () => {
    const { hub, port } = await serve({ limits: { outboxBytes: 2_000_000 } });
    const slow = await member(port, ["a"], { token: "ann" });
    slow.response.pause();
    slow.socket.pause();
    const until = 800;
    for (let n = 0; n < until; n++) {
      await hub.room("a").signal("typing", large);
      await turnEnded(1);
    }
    slow.socket.resume();
    slow.response.resume();
    await hub.room("a").publish("end", 1);
    let signals = 0;
    while ((await slow.nextEvent()).frame["type"] === "signal") signals++;
    expect(signals).toBeGreaterThan(0);
    expect(signals).toBeLessThan(until);
    expect(hub.room("a").here.size).toBe(1);
  });
});
