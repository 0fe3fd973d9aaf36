import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import type { Peer } from "../support/socket.ts";
import { eventually, serve } from "./support/hub.ts";

const outboxBytes = 256 * 1_024;
/** What the kernel and the client's own buffers take before the server sees that nobody reads. */
const kernelBytes = 16 * 1_024 * 1_024;

/** Publishes about 10 MB/s into a room until told to stop. */
class Publisher {
  published = 0;
  #isRunning = true;
  readonly #done: Promise<void>;

  constructor(publish: (data: string) => Promise<unknown>) {
    const data = "x".repeat(10_000);
    this.#done = (async () => {
      while (this.#isRunning) {
        await Promise.all(Array.from({ length: 10 }, () => publish(data)));
        this.published += 10;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
  }
}

const offsets = (peer: Peer): number[] =>
  peer.log
    .map((text) => JSON.parse(text) as JsonObject)
    .flatMap(({ offset }) => (typeof offset === "number" ? [offset] : []));

const numbers = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe("a reader that stops while 10 MB/s is published (invariant 12)", () => {
  it("is cut with 4200, delays nobody, and resumes with nothing lost", { timeout: 60_000 }, async () => {
    const { hub, member, connect } = await serve({ limits: { outboxBytes }, keep: { messages: 100_000 } });
    const stalled = await member("ann", "r");
    const other = await member("bob", "r");
    // The delay as the other member sees it: from the publish to the message.
    let worstMs = 0;
    other.socket.on("message", (bytes: Buffer) => {
      const { at } = JSON.parse(bytes.toString()) as { at?: number };
      if (at !== undefined) worstMs = Math.max(worstMs, Date.now() - at);
    });
    stalled.socket.pause();
    const [id] = hub.user("ann").here.connections;
    const publisher = new Publisher((data) => hub.room("r").publish("e", data));
    const before = process.memoryUsage().arrayBuffers;
    let mostBytes = 0;
    await eventually(() => {
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - before);
      return hub.connection(id!) === undefined;
    }, 30_000);
    await publisher.stop();
    // Both ends are in this process: with the client's own buffers, what waits is still little.
    expect(mostBytes).toBeLessThan(kernelBytes);
    expect(publisher.published * 10_000).toBeGreaterThan(outboxBytes);

    await eventually(() => offsets(other).length === publisher.published);
    expect(offsets(other)).toEqual(numbers(1, publisher.published));
    expect(worstMs).toBeLessThan(1_000);

    stalled.socket.resume();
    await stalled.expectClose(4200);
    const seen = offsets(stalled);
    expect(seen).toEqual(numbers(1, seen.length));
    const joined = await other.settled().then(() => connect("ann"));
    const epoch = String((JSON.parse(stalled.log[1]!) as JsonObject)["cursor"]).split(":", 1)[0]!;
    joined.send({ type: "join", room: "r", since: `${epoch}:${seen.length}` });
    await joined.expect({ type: "joined", recovered: true, replay: publisher.published - seen.length });
    await eventually(() => offsets(joined).length === publisher.published - seen.length, 20_000);
    expect(offsets(joined)).toEqual(numbers(seen.length + 1, publisher.published));
  });

  it("has signals dropped first, and every message once it reads again", { timeout: 30_000 }, async () => {
    const { hub, member } = await serve({ limits: { outboxBytes: 40 * 1_024 * 1_024 } });
    const [slow, other] = [await member("ann", "r"), await member("bob", "r")];
    slow.socket.pause();
    const big = "x".repeat(60_000);
    // 30 MB: the system's own buffers take at most 10 of them, and over 10 a connection counts as congested.
    for (let i = 0; i < 500; i++) {
      await hub.room("r").publish("e", big);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let i = 0; i < 100; i++) {
      await hub.room("r").signal("typing", i);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await hub.room("r").publish("e", "last");
    await other.until({ type: "message", offset: 501 });
    expect(other.log.filter((text) => text.startsWith('{"type":"signal"'))).toHaveLength(100);
    slow.socket.resume();
    await slow.until({ type: "message", offset: 501 });
    expect(offsets(slow)).toEqual(numbers(1, 501));
    expect(slow.log.filter((text) => text.startsWith('{"type":"signal"'))).toEqual([]);
  });
});

describe("a flooder that does not read its refusals", () => {
  it("is closed with 4301 and not told to come back at once", { timeout: 30_000 }, async () => {
    const { hub, connect } = await serve({
      limits: { outboxBytes: 64 * 1_024, messageBytes: 16 * 1_024, requestsPerS: 10 },
    });
    const ann = await connect("ann");
    ann.socket.pause();
    const text = JSON.stringify({ type: "join", room: "r".repeat(200), id: "x".repeat(64) });
    while (hub.counts().connections > 0) {
      for (let i = 0; i < 1_000; i++) ann.text(text);
      await new Promise((resolve) => setImmediate(resolve));
    }
    ann.socket.resume();
    await ann.expectClose(4301);
  });
});
