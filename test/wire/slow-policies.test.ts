import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { parseCursor } from "../../src/protocol/cursor.ts";
import type { JsonObject } from "../../src/protocol/json.ts";
import { http } from "../support/http.ts";
import { publishFor } from "../support/publish-for.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

const config = fileURLToPath(new URL("../support/fixtures/slow.config.mjs", import.meta.url));
const megabyte = 1_048_576;
const events = ["a", "b", "c"];

let server: TestServer;
let witness: Witness;
beforeAll(
  async () =>
    void (server = await startServer(["--backend", "memory", "--config", config, "--limit", "requests_per_s=5000"])),
);
afterAll(() => endServer(server));
beforeEach(async () => void (witness = await Witness.of(server)));
afterEach(async () => {
  await witness.sees();
  witness.end();
});

async function member(user: string, room: string): Promise<Peer> {
  const token = makeToken({ sub: user, rooms: ["**"] });
  const peer = new Peer(new WebSocket(`ws://${server.host}/ws?token=${token}`, ["fanfare.v1"]));
  await peer.expect({ type: "welcome", user });
  peer.send({ type: "join", room });
  await peer.expect({ type: "joined" });
  return peer;
}

interface Stalled {
  readonly room: string;
  readonly stalled: Peer;
  readonly reader: Peer;
  readonly publisher: Peer;
  /** What the server's memory grew by meanwhile. */
  readonly grewBytes: number;
}

/** A reader that stops; fails where its neighbour has to wait for it. */
async function stallIn(room: string): Promise<Stalled> {
  const publisher = await member("ann", room);
  const reader = await member("bob", room);
  const usualMs = await publishFor(1_500, publisher, reader, room, events);
  const stalled = await member("cid", room);
  stalled.socket.pause();
  const before = server.rssBytes();
  const p99Ms = await publishFor(3_000, publisher, reader, room, events);
  const grewBytes = server.rssBytes() - before;
  expect(p99Ms, "a neighbour waited").toBeLessThan(2 * usualMs + 25);
  return { room, stalled, reader, publisher, grewBytes };
}

function end({ stalled, reader, publisher }: Stalled): void {
  for (const peer of [stalled, reader, publisher]) peer.destroy();
}

/** Reads on, past all that waited, up to a message that is published then; gives all frames after `joined`. */
async function readOn({ stalled, publisher, room }: Stalled): Promise<JsonObject[]> {
  const frames = (): JsonObject[] => stalled.log.slice(2).map((text) => JSON.parse(text) as JsonObject);
  stalled.socket.resume();
  await expect
    .poll(() => frames().some(({ type }) => type === "gap" || type === "skip"), { timeout: 8_000 })
    .toBe(true);
  publisher.send({ type: "publish", room, event: "end", data: null });
  await stalled.until({ type: "message", event: "end" });
  return frames();
}

/** How many messages were left out. P-32: fails where a hole was not announced. */
function leftOut(frames: readonly JsonObject[]): number {
  let at: number | undefined;
  let count = 0;
  for (const { type, offset, cursor } of frames) {
    const next = cursor === undefined ? Number(offset) : parseCursor(String(cursor))!.offset;
    if (type === "message" && at !== undefined) expect(next, "a hole that nothing announced").toBe(at + 1);
    else if (at !== undefined) expect(next).toBeGreaterThan(at);
    if (type !== "message" && at !== undefined) count += next - at;
    at = next;
  }
  return count;
}

async function metric(name: string): Promise<number> {
  const { text } = await http(`http://${server.host}/metrics`);
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

describe("a reader that stops while 10 MB a second come", { timeout: 30_000 }, () => {
  it("by drop stays, costs little memory, delays nobody, and is told of the gap", async () => {
    const stalled = await stallIn("drop/1");
    expect(stalled.grewBytes).toBeLessThan(48 * megabyte);
    const frames = await readOn(stalled);
    const dropped = leftOut(frames);
    expect(dropped).toBeGreaterThan(0);
    const gap = frames.findIndex(({ type }) => type === "gap");
    expect(frames[gap]).toMatchObject({ room: "drop/1", reason: "slow" });
    expect(frames.at(-1)).toMatchObject({ event: "end" });
    // All before it was in buffers when the reader stopped; what the log still holds, `history` gives.
    expect(gap).toBeLessThan(400);
    stalled.stalled.send({ type: "history", id: "h", room: "drop/1", limit: 10 });
    await stalled.stalled.expect({ type: "history", re: "h" });
    expect(await metric('fanfare_message_drops_total{reason="dropped"}')).toBe(dropped);
    expect(await metric('fanfare_slow_readers_total{policy="drop"}')).toBeGreaterThan(0);
    expect(await metric('fanfare_slow_readers_total{policy="disconnect"}')).toBe(0);
    end(stalled);
  });

  it("by latest stays, costs little memory, delays nobody, and gets the newest of each event", async () => {
    const stalled = await stallIn("latest/1");
    expect(stalled.grewBytes).toBeLessThan(48 * megabyte);
    const frames = await readOn(stalled);
    const replaced = leftOut(frames);
    expect(replaced).toBeGreaterThan(0);
    expect(frames.filter(({ type }) => type === "gap")).toEqual([]);
    const skip = frames.findIndex(({ type }) => type === "skip");
    const newest = frames.slice(skip + 1, skip + 4);
    expect(new Set(newest.map(({ event }) => event))).toEqual(new Set(events));
    // They are the last three that were published, and `end` follows right after them.
    const offsets = newest.map(({ offset }) => Number(offset));
    expect(frames.at(-1)).toMatchObject({ event: "end", offset: offsets.at(-1)! + 1 });
    expect(offsets.at(-1)! - offsets[0]!).toBe(2);
    expect(await metric('fanfare_message_drops_total{reason="replaced"}')).toBe(replaced);
    end(stalled);
  });

  it("by disconnect is cut with 4200", async () => {
    const stalled = await stallIn("disconnect/1");
    expect(stalled.grewBytes).toBeLessThan(48 * megabyte);
    stalled.stalled.socket.resume();
    expect([4200, 1006]).toContain((await stalled.stalled.closed()).code);
    expect(await metric('fanfare_slow_readers_total{policy="disconnect"}')).toBe(1);
    end(stalled);
  });
});
