import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { type RedisServer, type Sentinels, startRedis, startSentinels } from "../support/engines/redis.ts";
import { RedisNodes } from "../support/redis-nodes.ts";

let master: RedisServer;
let sentinels: Sentinels;
let nodes: RedisNodes;
/** Takes connections and answers nothing: a machine that hangs. */
let hung: Server;
let held: Set<Socket>;

beforeAll(async () => {
  master = await startRedis();
  sentinels = await startSentinels({ masterPort: master.port });
});
afterAll(async () => {
  await sentinels.stop();
  await master.stop();
});
beforeEach(async () => {
  nodes = new RedisNodes("t:");
  held = new Set();
  hung = createServer((socket) => {
    held.add(
      socket
        .resume()
        .on("error", () => undefined)
        .on("close", () => held.delete(socket)),
    );
  });
  await new Promise<void>((resolve) => void hung.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  await nodes.close();
  for (const socket of held) socket.destroy();
  hung.close();
});

it("a sentinel that hangs does not keep the others from being asked, wherever it is named, and nothing stays open to it", async () => {
  const bad = `127.0.0.1:${(hung.address() as AddressInfo).port}`;
  const good = `127.0.0.1:${sentinels.ports[0]}`;
  for (const hosts of [`${bad},${good}`, `${good},${bad}`, `${bad},${bad},${good}`]) {
    await nodes.open(`redis+sentinel://${hosts}/fanfare`, { waitMs: 20_000 });
  }
  await expect.poll(() => held.size, { timeout: 10_000 }).toBe(0);
}, 60_000);
