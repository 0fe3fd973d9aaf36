import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { Bus } from "../../src/backends/redis/bus.ts";
import { resolveOptions } from "../../src/backends/redis/options.ts";
import { type RedisServer, startRedis, until } from "../support/engines/redis.ts";

let server: RedisServer;
let bus: Bus;
/** What the answer to SUBSCRIBE waits for. */
let held: Promise<void> = Promise.resolve();

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
afterEach(() => bus.close());

function make(): Redis {
  const client = new Redis({ ...resolveOptions({ url: server.url }).connection, replyMapping: "legacy" });
  const subscribe = client.subscribe.bind(client);
  vi.spyOn(client, "subscribe").mockImplementation(async (...channels) => {
    const answer = await subscribe(...channels);
    await held;
    return answer;
  });
  return client;
}

async function subscribed(): Promise<number> {
  return Number(((await server.cli("PUBSUB", "NUMSUB", "room")) as readonly unknown[])[1]);
}

it("a channel that is given up while the connection is made anew does not stay subscribed", async () => {
  const restored = new Promise<void>((resolve) => {
    const nothing = (): void => undefined;
    bus = new Bus({
      make,
      place: "here",
      waitMs: 5_000,
      log: nothing,
      message: nothing,
      lost: nothing,
      restored: resolve,
    });
  });
  await bus.link.start(5_000);
  await bus.attach("room");
  let release = (): void => undefined;
  held = new Promise((resolve) => (release = resolve));
  await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
  await until(async () => (await subscribed()) === 1);
  bus.detach("room");
  release();
  await restored;
  await expect.poll(subscribed, { timeout: 10_000 }).toBe(0);
});
