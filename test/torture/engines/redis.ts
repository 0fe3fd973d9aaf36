import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { startRedis, startSentinels, until, type RedisServer } from "../../support/engines/redis.ts";
import type { FaultName, PlannedFault } from "../faults/schedule.ts";
import { Link } from "../link.ts";
import type { TortureNode } from "../node.ts";
import type { Engine, EngineContext, EngineLog } from "./engine.ts";

const built = pathToFileURL(fileURLToPath(new URL("../../../dist/backends/redis/index.js", import.meta.url))).href;

const linkFaults: readonly FaultName[] = [
  ...(["engine-cut", "engine-delay", "engine-lost-up", "engine-lost-down", "engine-half-open"] as const),
];

/** One Redis, and a way to it for each node. On even seeds what it keeps is on disk, on odd ones it ends with it. */
export async function redis({ seed }: EngineContext): Promise<Engine> {
  const server = await startRedis({ appendonly: seed % 2 === 0 });
  /** Two faults may want it away at once: it comes back with the last, and one that is away has nothing to flush. */
  let away = 0;
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => (turn = turn.then(work));
  const begin = async ({ fault }: PlannedFault): Promise<() => Promise<void>> => {
    switch (fault) {
      case "engine-flush":
        await inTurn(async () => {
          // One that is stopped just now does not answer.
          if (away === 0) await server.flush().catch(() => undefined);
        });
        return nothing;
      case "engine-pause":
        server.pause();
        return () => Promise.resolve(server.resume());
      case "engine-kill":
        await inTurn(async () => {
          if (away++ === 0) await server.kill();
        });
        return () =>
          inTurn(async () => {
            if (--away === 0) await server.restart();
          });
      default:
        throw new Error(`Redis has no ${fault}`);
    }
  };
  return {
    attach: async (node) => {
      const link = await linkTo(node, server);
      return ["--backend", `redis://${link.address.host}`];
    },
    faults: [...linkFaults, "engine-flush", "engine-pause", "engine-kill"],
    losing: ["engine-flush", "engine-kill"],
    begin,
    log: (room) => logOf(server, room),
    left: () => withoutExpiry(server),
    end: () => server.stop(),
  };
}

/** A master and a replica watched by three sentinels, and a way to both for each node. */
export async function redisSentinel({ folder }: EngineContext): Promise<Engine> {
  const first = await startRedis();
  const second = await startRedis({ replicaOf: first.port });
  const sentinels = await startSentinels({ masterPort: first.port });
  await sentinels.ready(1);
  const both = [first, second];
  const master = async (): Promise<RedisServer> => {
    const port = await sentinels.master();
    return both.find((one) => one.port === port) ?? first;
  };
  /** Every entry has reached the replica, or a link that fails would do more than it says. */
  const whole = async (): Promise<void> => {
    await sentinels.ready(1);
    await until(async () => {
      const replica = (await master()) === first ? second : first;
      // The sentinels end all connections of the one that they make a replica, and so perhaps this one.
      const info = await replica.cli("INFO", "replication").catch(() => "");
      return String(info).includes("master_link_status:up");
    });
  };
  const failover = async (lagMs: number): Promise<() => Promise<void>> => {
    const old = await master();
    const next = old === first ? second : first;
    // What is written from now on does not reach the replica.
    next.pause();
    await old.cli("CLIENT", "KILL", "TYPE", "replica");
    await wait(lagMs);
    await old.kill();
    next.resume();
    await until(async () => (await master()) === next);
    return async () => {
      await old.restart();
      await whole();
    };
  };
  const begin = async ({ fault, amount, forMs }: PlannedFault): Promise<() => Promise<void>> => {
    if (fault === "engine-failover") return failover(Math.round(100 + amount * 600));
    if (fault !== "engine-pause") throw new Error(`the sentinels have no ${fault}`);
    // Longer than the sentinels wait: another is master meanwhile, and this one does not know it when it goes on.
    const paused = await master();
    paused.pause();
    return async () => {
      paused.resume();
      if (forMs > sentinelPatienceMs) await whole();
    };
  };
  return {
    attach: async (node) => {
      const natMap: Record<string, { host: string; port: number }> = {};
      for (const server of both) {
        const { port } = (await linkTo(node, server)).address;
        natMap[`127.0.0.1:${server.port}`] = { host: "127.0.0.1", port };
      }
      return configured(folder, node, { url: sentinels.url, connection: { natMap } });
    },
    faults: [...linkFaults, "engine-pause", "engine-failover"],
    losing: ["engine-failover", "engine-pause"],
    begin,
    log: async (room) => logOf(await master(), room),
    left: async () => withoutExpiry(await master()),
    end: async () => {
      await sentinels.stop();
      await Promise.all(both.map((server) => server.stop()));
    },
  };
}

/** A master that is silent for about as long is replaced. */
const sentinelPatienceMs = 800;
const nothing = (): Promise<void> => Promise.resolve();

async function linkTo(node: TortureNode, { port }: RedisServer): Promise<Link> {
  const link = new Link(() => ({ host: `127.0.0.1:${port}`, port }));
  await link.open();
  node.engineLinks.push(link);
  return link;
}

/** A config of the node's own, because no flag can say that the way to an address is another one. */
function configured(folder: string, node: TortureNode, options: object): readonly string[] {
  const file = join(folder, `${node.name}.config.mjs`);
  writeFileSync(
    file,
    `import { redis } from ${JSON.stringify(built)};\nexport default { backend: redis(${JSON.stringify(options)}) };\n`,
  );
  return ["--config", file];
}

async function logOf(server: RedisServer, room: string): Promise<EngineLog> {
  const key = `fanfare:{${room}}`;
  const [epoch, head] = (await server.cli("HMGET", `${key}:meta`, "epoch", "head")) as readonly string[];
  const stream = (await server.cli("XRANGE", `${key}:log`, "-", "+")) as readonly [string, readonly string[]][];
  const entries = stream.map(([id, fields]) => ({
    offset: Number(id.split("-")[0]),
    body: fields[fields.indexOf("b") + 1] ?? "",
  }));
  return { epoch: String(epoch), head: Number(head), entries };
}

/** How many keys would stay for ever. */
async function withoutExpiry(server: RedisServer): Promise<Record<string, number>> {
  const keys = (await server.cli("KEYS", "*")) as readonly string[];
  const counts: Record<string, number> = {};
  for (const key of keys) {
    if ((await server.cli("PTTL", key)) === -1) counts[`without expiry: ${key}`] = 1;
  }
  return counts;
}
