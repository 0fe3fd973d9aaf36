import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { nats } from "../../src/backends/nats/index.ts";
import { backendSuite } from "../../src/testing/backend-suite.ts";
import { keyOf, numbers, roomOf } from "../../src/testing/backend/tools.ts";
import { type NatsCluster, startNatsCluster } from "../support/engines/nats.ts";
import { closeAll, jetstream, newPrefix, opened, told } from "./fixtures/nats.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let cluster: NatsCluster;
beforeAll(async () => {
  cluster = await startNatsCluster(3);
});
afterAll(() => cluster.stop());

backendSuite(
  "nats, JetStream on three servers with three replicas",
  () => {
    const prefix = newPrefix();
    const make = (): ReturnType<typeof nats> => nats({ servers: cluster.urls, replicas: 3, prefix, waitMs: 20_000 });
    return Promise.resolve({
      backend: make(),
      reopen: () => Promise.resolve(make()),
      second: () => Promise.resolve(make()),
      destroy: () => removed(prefix),
    });
  },
  { describe, it, expect },
);

/** Each stream is a Raft group of three: a hundred of them would be all that the machine does. */
async function removed(prefix: string): Promise<void> {
  const url = cluster.urls[0]!;
  await Promise.all(["log", "brief", "lasting"].map((name) => jetstream(url, `STREAM.DELETE.${prefix}-${name}`)));
}

describe("a cluster of three", () => {
  closeAll();
  const room = roomOf("room", { messages: 10_000, ms: 3_600_000 });
  const entry = (body: string): { body: string; at: number; except: undefined } => ({
    body,
    at: Date.now(),
    except: undefined,
  });

  it("whose leader is killed under appends: no acknowledged message is lost, none is there twice, order holds", async () => {
    const options = { servers: cluster.urls, replicas: 3, prefix: newPrefix(), waitMs: 30_000 };
    const nodes = await Promise.all([opened(options), opened(options), opened(options)]);
    const seen = await Promise.all(nodes.map((node) => told(node, room)));
    const appends = nodes.flatMap((node, n) =>
      numbers(1, 300).map(async (i) => {
        const appended = await node.append(room, entry(`${n}.${i}`), { ...keyOf(`${n}.${i}`), scope: `${n}` });
        return { body: `${n}.${i}`, ...appended };
      }),
    );
    await appends[50];
    const leader = await leaderOf(`${options.prefix}-log`);
    await cluster.servers[leader]!.kill();
    const settled = await Promise.allSettled(appends);
    await cluster.servers[leader]!.restart();
    await Promise.all(seen.map((each) => each.until(({ entries }) => entries.length >= 900)));

    const log = await nodes[0].read(room, 0, 10_000);
    expect(new Set(log.map(({ body }) => body)).size).toBe(log.length);
    for (const each of settled) {
      expect(each.status).toBe("fulfilled");
      if (each.status !== "fulfilled" || each.value.kind === "conflict") continue;
      const { body, offset } = each.value;
      expect(log.find((one) => one.offset === offset)?.body).toBe(body);
    }
    for (const { entries, jumps } of seen) {
      expect(entries).toEqual(log);
      expect(jumps).toEqual([]);
    }
    for (const n of [0, 1, 2]) {
      const own = log.filter(({ body }) => body.startsWith(`${n}.`)).map(({ body }) => body);
      expect(own).toEqual(numbers(1, 300).map((i) => `${n}.${i}`));
    }
  });

  it("that lost its majority: appends are unavailable within their bound, and work when it is back", async () => {
    const options = { servers: cluster.urls, replicas: 3, prefix: newPrefix(), waitMs: 2_000 };
    const node = await opened(options);
    await node.append(room, entry("before"));
    const [, second, third] = cluster.servers;
    await Promise.all([second!.kill(), third!.kill()]);
    await expect(node.append(room, entry("lost"))).rejects.toMatchObject({ name: "BackendUnavailable" });
    await expect(node.check()).rejects.toMatchObject({ name: "BackendUnavailable" });
    await Promise.all([second!.restart(), third!.restart()]);
    // Where the node was connected to a server that was killed, it moves to the one that is left.
    const again = (): Promise<string> =>
      node.append(room, entry("after"), keyOf("after")).then(
        ({ kind }) => kind,
        () => "unavailable",
      );
    await expect.poll(again, { timeout: 40_000, interval: 200 }).toMatch(/kept|duplicate/);
    // Each stream has a leader of its own to find, for longer than one call waits.
    const patient = { timeout: 40_000, interval: 200 };
    await expect.poll(() => node.check().then(() => "ready", String), patient).toBe("ready");
    const read = (): Promise<string[]> =>
      node.read(room, 0, 10).then(
        (all) => all.map(({ body }) => body),
        () => [],
      );
    const bodies = async (): Promise<string[]> => (await read()).filter((body) => body !== "lost");
    await expect.poll(bodies, patient).toEqual(["before", "after"]);
  });
});

async function leaderOf(stream: string): Promise<number> {
  const info = (await jetstream(cluster.urls[0]!, `STREAM.INFO.${stream}`)) as { cluster?: { leader?: string } };
  return Number(info.cluster?.leader?.slice(1));
}
