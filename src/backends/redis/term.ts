import type { Redis } from "ioredis";
import { isFull, Unfit } from "./errors.ts";
import { scripts, settle } from "./scripts.ts";

/** What an engine must know of the commands that the scripts use. */
const oldest = [6, 2] as const;
const termMs = 86_400_000;
const isNoMaster = "it is a replica, not the master. Name the master, or its sentinels (redis+sentinel://…)";

export interface Engine {
  /** Names one life of the engine's data: another process, or another promotion to master, may have lost writes. */
  readonly term: string;
  readonly evictionPolicy: string | undefined;
}

/**
 * Asks a new connection which life of the data it leads to, and makes that known to all nodes. Before this nothing may
 * be appended over it: on a replica that became master, numbers would be used again. Rejects where it leads to no master.
 *
 * `run_id` is another one after each start; `master_replid2` changes at each promotion. `master_replid` also changes when
 * a first replica attaches, by which nothing is lost.
 */
export async function settleTerm(client: Redis, termKey: string, db: number): Promise<Engine> {
  // ioredis selects it too, and goes on in database 0 where that is refused.
  if (db !== 0) await client.select(db);
  const info = parseInfo(await client.info());
  checkFit(info);
  const term = `${info.get("run_id")}.${info.get("master_replid2")}`;
  await Promise.all(scripts.map(({ lua }) => client.script("LOAD", lua)));
  try {
    // A command of its own, because Redis 6.2 does not ask scripts for `min-replicas-to-write`.
    await client.set(termKey, term, "PX", termMs);
  } catch (error) {
    if (!isFull(error)) throw error;
    await client.evalsha(settle.sha, 1, termKey, term, termMs);
  }
  const limit = Number(info.get("maxmemory") ?? 0);
  return { term, evictionPolicy: limit > 0 ? info.get("maxmemory_policy") : undefined };
}

/** Throws where this is no engine to use: now, or (Unfit) ever. */
export function checkFit(info: ReadonlyMap<string, string>): void {
  const version = info.get("redis_version");
  if (version === undefined || !info.has("run_id") || !info.has("master_replid2"))
    throw new Unfit("its INFO does not tell redis_version, run_id and master_replid2, which Fanfare needs");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1]))
    throw new Unfit(`it is version ${version}; Fanfare needs ${oldest.join(".")} or newer`);
  if (info.get("cluster_enabled") === "1")
    throw new Unfit("it is a Redis Cluster, which Fanfare does not know yet; use a single master, or Sentinel");
  if (info.get("role") !== "master") throw new Error(isNoMaster);
  if (info.get("loading") === "1") throw new Error("it is loading its data");
}

export function parseInfo(text: string): Map<string, string> {
  const facts = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0) facts.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return facts;
}
