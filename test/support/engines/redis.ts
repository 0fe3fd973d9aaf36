import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../ports.ts";
import { killProgram, programOf, startProgram, temporaryDirectory } from "./processes.ts";

export interface RedisOptions {
  /** Keeps an append-only file, flushed at every write. */
  readonly appendonly?: boolean;
  /** The port of the master to follow. */
  readonly replicaOf?: number;
  /** Absent: a free one. */
  readonly port?: number;
  /** Asked of every client; `cli` gives it. */
  readonly password?: string;
  /** Further words for the program, as `--maxmemory 1mb`. */
  readonly args?: readonly string[];
}

/** A Redis of a test's own. Everything about it is gone after `stop`, and when the test's process ends. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it at once (SIGKILL), as a crash does. What it keeps on disk stays. */
  kill(): Promise<void>;
  /** It goes on existing and answers nothing (SIGSTOP), until `resume`. */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port and files; kills it first where it still runs. */
  restart(): Promise<void>;
  flush(): Promise<void>;
  /** One command over a connection of its own; rejects after 5 s. */
  cli(...args: readonly [string, ...(string | number)[]]): Promise<unknown>;
  /** Kills it and removes its files. */
  stop(): Promise<void>;
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const port = options.port ?? (await freePort());
  const directory = temporaryDirectory("redis");
  const start = (): Promise<ChildProcess> =>
    startProgram(
      programOf("REDIS", "redis-server"),
      words(options, port, directory.path),
      /Ready to accept connections/,
    );
  let child = await start();
  const password = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  const server: RedisServer = {
    url: `redis://${password}127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid ?? -1;
    },
    kill: () => killProgram(child),
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    restart: async () => {
      await killProgram(child);
      child = await start();
    },
    flush: async () => void (await server.cli("FLUSHALL")),
    cli: (...args) => command(port, options.password, args),
    stop: async () => {
      await killProgram(child);
      directory.remove();
    },
  };
  return server;
}

export interface Sentinels {
  /** What a client is given: `redis+sentinel://…`. */
  readonly url: string;
  readonly ports: readonly number[];
  /** The master's port, as the first sentinel sees it. */
  master(): Promise<number>;
  /** Promotes a replica now, whatever the master does; resolves when the sentinels name it. */
  failover(): Promise<number>;
  /** Resolves when the first sentinel knows so many healthy replicas and the other sentinels. */
  ready(replicas: number): Promise<void>;
  stop(): Promise<void>;
}

/** Three sentinels that watch one master; a master that is silent for `downMs` (1 s) is replaced. */
export async function startSentinels(options: {
  readonly masterPort: number;
  readonly quorum?: number;
  readonly downMs?: number;
}): Promise<Sentinels> {
  const { masterPort, quorum = 2, downMs = 1_000 } = options;
  const directory = temporaryDirectory("sentinel");
  const begin = async (tries = 3): Promise<{ port: number; child: ChildProcess }> => {
    const port = await freePort();
    const file = join(directory.path, `${port}.conf`);
    writeFileSync(file, sentinelConfig(port, masterPort, quorum, downMs));
    try {
      return {
        port,
        child: await startProgram(programOf("REDIS_SENTINEL", "redis-sentinel"), [file], /\+monitor master/),
      };
    } catch (error) {
      // Somebody else may have taken the port meanwhile.
      if (tries === 1 || !String(error).includes("in use")) throw error;
      return begin(tries - 1);
    }
  };
  const begun = [await begin(), await begin(), await begin()];
  const ports = begun.map(({ port }) => port);
  const children = begun.map(({ child }) => child);
  const [first = 0] = ports;
  const ask = (...args: readonly [string, ...string[]]): Promise<unknown> => command(first, undefined, args);
  const master = async (): Promise<number> => {
    const answer = (await ask("SENTINEL", "get-master-addr-by-name", masterName)) as readonly string[];
    return Number(answer[1]);
  };
  return {
    url: `redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(",")}/${masterName}`,
    ports,
    master,
    failover: async () => {
      const before = await master();
      await ask("SENTINEL", "failover", masterName);
      await until(async () => (await master()) !== before);
      return master();
    },
    ready: (replicas) =>
      until(async () => {
        const answer = (await ask("SENTINEL", "master", masterName)) as readonly string[];
        const fact = (name: string): string | undefined => answer[answer.indexOf(name) + 1];
        return (
          Number(fact("num-slaves")) >= replicas && fact("num-other-sentinels") === "2" && fact("flags") === "master"
        );
      }),
    stop: async () => {
      await Promise.all(children.map(killProgram));
      directory.remove();
    },
  };
}

const masterName = "fanfare";

/** Asks every 50 ms until it is so; rejects after 15 s. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let asked = 0; asked < 300; asked++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not so after 15 s: ${isSo.toString()}`);
}

function words(options: RedisOptions, port: number, directory: string): string[] {
  const { appendonly = false, replicaOf, password, args = [] } = options;
  return [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--databases", "16"],
    ...["--appendonly", appendonly ? "yes" : "no", "--appendfsync", "always"],
    // A replica is in step at once, instead of after five seconds.
    ...["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"],
    ...(replicaOf === undefined ? [] : ["--replicaof", "127.0.0.1", String(replicaOf)]),
    ...(password === undefined ? [] : ["--requirepass", password, "--masterauth", password]),
    ...args,
  ];
}

function sentinelConfig(port: number, masterPort: number, quorum: number, downMs: number): string {
  return [
    `port ${port}`,
    "bind 127.0.0.1",
    `sentinel monitor ${masterName} 127.0.0.1 ${masterPort} ${quorum}`,
    `sentinel down-after-milliseconds ${masterName} ${downMs}`,
    `sentinel failover-timeout ${masterName} 5000`,
    "",
  ].join("\n");
}

async function command(
  port: number,
  password: string | undefined,
  [name, ...args]: readonly [string, ...(string | number)[]],
): Promise<unknown> {
  const client = new Redis(port, "127.0.0.1", {
    ...(password !== undefined && { password }),
    lazyConnect: true,
    retryStrategy: () => null,
    commandTimeout: 5_000,
    connectTimeout: 5_000,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}
