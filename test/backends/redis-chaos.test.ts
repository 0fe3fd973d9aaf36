import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Appended } from "../../src/backends/backend.ts";
import type { RedisBackend } from "../../src/backends/redis/index.ts";
import { entryOf, keyOf, numbers, roomOf } from "../../src/testing/backend/tools.ts";
import { type RedisServer, startRedis } from "../support/engines/redis.ts";
import { insist, RedisNodes, Witness } from "../support/redis-nodes.ts";

const room = roomOf("r", { messages: 100_000, ms: 86_400_000 });
const forMs = 5_000;

let server: RedisServer;
let nodes: RedisNodes;

beforeEach(async () => {
  server = await startRedis({ appendonly: true });
  nodes = new RedisNodes("t:");
});
afterEach(async () => {
  await nodes.close();
  await server.stop();
});

describe("whatever happens to Redis", () => {
  it.each([1, 2])(
    "every message has one name, in one order, and every hole is announced: seed %i",
    async (seed) => {
      const next = random(seed);
      const all = await Promise.all([1, 2, 3].map(() => nodes.open(server.url, { waitMs: 1_000 })));
      const witnesses = await Promise.all(all.map((node) => Witness.of(node, room)));
      const epochs = witnesses.map(({ subscription }) => subscription.state.epoch);
      const until = performance.now() + forMs;
      const publishers = all.map((node, n) => publishUntil(node, n, until));
      while (performance.now() < until) {
        await fault(next());
        await new Promise((resolve) => setTimeout(resolve, 50 + next() * 400));
      }
      const kept = (await Promise.all(publishers)).flat();
      const last = await insist(() => all[0]!.append(room, entryOf("last"), keyOf("last")));
      for (const each of witnesses) await each.until(() => each.bodies.includes("last"), 15_000);

      // One name, one message, for all who saw it.
      const names = new Map<string, string>();
      for (const name of [...kept, ...witnesses.flatMap((each) => each.names)]) {
        const [at = "", body = ""] = name.split("=");
        expect([at, names.get(at) ?? body]).toEqual([at, body]);
        names.set(at, body);
      }
      // Rising by one, but where a jump said otherwise.
      for (const [i, { told }] of witnesses.entries()) {
        let position = { epoch: epochs[i]!, offset: 0 };
        for (const each of told) {
          if (typeof each === "string" || "text" in each) continue;
          if ("reason" in each) position = each;
          else position = { epoch: position.epoch, offset: expectNext(each.offset, position.offset) };
        }
        expect(position).toMatchObject({ epoch: last.kind === "conflict" ? "" : last.epoch });
      }
      // What was acknowledged in the life that the log has now is there.
      const { epoch } = await all[1]!.state(room);
      const log = await all[1]!.read(room, 0, 100_000, epoch);
      const there = new Set(log.map(({ offset, body }) => `${epoch}:${offset}=${body}`));
      expect(kept.filter((name) => name.startsWith(`${epoch}:`) && !there.has(name))).toEqual([]);
      // Nothing is in there twice.
      expect(new Set(log.map(({ body }) => body)).size).toBe(log.length);
      expect(names.size).toBeGreaterThan(100);
      expect(log.map(({ offset }) => offset)).toEqual(numbers(1, log.length));
    },
    60_000,
  );
});

function expectNext(offset: number, position: number): number {
  expect(offset).toBe(position + 1);
  return offset;
}

/** Publishes until the time is over; what gets no answer is repeated with its key. Gives the names of what was acknowledged. */
async function publishUntil(node: RedisBackend, n: number, until: number): Promise<string[]> {
  const kept: string[] = [];
  for (let i = 0; performance.now() < until; i++) {
    const body = `${n}/${i}`;
    const appended: Appended = await insist(() => node.append(room, entryOf(body, Date.now()), keyOf(body)));
    if (appended.kind === "kept") kept.push(`${appended.epoch}:${appended.offset}=${body}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  return kept;
}

async function fault(dice: number): Promise<void> {
  if (dice < 0.35) await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
  else if (dice < 0.6) await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  else if (dice < 0.75) await server.flush();
  else if (dice < 0.9) await server.restart();
  else {
    server.pause();
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    server.resume();
  }
}

/** From 0 to 1, the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
