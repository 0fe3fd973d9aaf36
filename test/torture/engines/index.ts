import { join } from "node:path";
import type { Engine, EngineContext } from "./engine.ts";
import { nats, natsCluster } from "./nats.ts";
import { redis, redisSentinel } from "./redis.ts";

const none = (): Promise<never> => Promise.reject(new Error("there is no engine to break"));

/** In one process, gone with it. */
function memory(): Engine {
  return {
    attach: () => Promise.resolve(["--backend", "memory"]),
    faults: [],
    losing: ["kill", "stop"],
    begin: none,
    end: () => Promise.resolve(),
  };
}

/** In one process, on disk: nothing that is done here may lose anything. */
function lmdb({ folder }: EngineContext): Engine {
  return {
    attach: () => Promise.resolve(["--backend", `lmdb:${join(folder, "lmdb")}`]),
    faults: [],
    losing: [],
    begin: none,
    end: () => Promise.resolve(),
  };
}

export interface EngineKind {
  /** How many nodes share it where nobody says otherwise. */
  readonly nodes: number;
  readonly mostNodes: number;
  start(context: EngineContext): Promise<Engine>;
}

export const engines: Readonly<Record<string, EngineKind>> = {
  memory: { nodes: 1, mostNodes: 1, start: () => Promise.resolve(memory()) },
  lmdb: { nodes: 1, mostNodes: 1, start: (context) => Promise.resolve(lmdb(context)) },
  redis: { nodes: 3, mostNodes: 9, start: redis },
  "redis-sentinel": { nodes: 3, mostNodes: 9, start: redisSentinel },
  nats: { nodes: 3, mostNodes: 9, start: nats },
  "nats-cluster": { nodes: 3, mostNodes: 9, start: natsCluster },
};
