import type { ChildProcess } from "node:child_process";
import { cpSync, readFileSync, renameSync, rmSync } from "node:fs";
import { connect } from "@nats-io/transport-node";
import { freePort } from "../ports.ts";
import { hasEnded, killProgram, programOf, startProgram, temporaryDirectory } from "./processes.ts";

/** One nats-server of a test's own, on loopback. */
export interface NatsServer {
  readonly port: number;
  readonly url: string;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP; it stands still when this returns. Nothing where it is gone. */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port and files, after `kill`. Resolves when it takes connections. */
  restart(): Promise<void>;
  /** A copy of its files as they are, to be put back while it is down. The server is stopped for it and started again. */
  backup(): Promise<{ putBack(): void }>;
  /** Kills it and removes its files. */
  stop(): Promise<void>;
}

export interface NatsCluster {
  readonly servers: readonly NatsServer[];
  /** All of them, for `nats({ servers })`. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** Fails where nats-server is missing, saying so. */
export async function startNats({
  jetstream = true,
  port,
  flags = [],
}: { jetstream?: boolean; port?: number; flags?: readonly string[] } = {}): Promise<NatsServer> {
  const own = port ?? (await freePort());
  const directory = temporaryDirectory("nats").path;
  return started(own, directory, [...(jetstream ? ["-js", "-sd", directory] : []), ...flags]);
}

/** Servers that know each other, with JetStream over all of them. Resolves when they can make a stream of so many copies. */
export async function startNatsCluster(count = 3): Promise<NatsCluster> {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const routes = await Promise.all(Array.from({ length: count }, freePort));
  const all = routes.map((port) => `nats://127.0.0.1:${port}`).join(",");
  const servers = await Promise.all(
    ports.map((port, i) => {
      const directory = temporaryDirectory("nats").path;
      const cluster = ["--cluster_name", "test", "--cluster", `nats://127.0.0.1:${routes[i]}`, "--routes", all];
      return started(port, directory, ["-js", "-sd", directory, "--name", `n${i}`, ...cluster], true);
    }),
  );
  await whole(ports[0] ?? 0, count);
  return {
    servers,
    urls: servers.map(({ url }) => url),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  };
}

/**
 * `hasCopies`: what it keeps, others have too. nats-server 2.9 sometimes crashes by itself when it reads its files again (a nil
 * pointer in `processClusterCreateStream`); then it is replaced by an empty one, as its operator would do.
 */
async function started(
  port: number,
  directory: string,
  flags: readonly string[],
  hasCopies = false,
): Promise<NatsServer> {
  const words = ["-a", "127.0.0.1", "-p", String(port), ...flags];
  const start = (): Promise<ChildProcess> =>
    startProgram(programOf("NATS_SERVER", "nats-server"), words, /Server is ready/);
  let child = await start();
  const server: NatsServer = {
    port,
    url: `nats://127.0.0.1:${port}`,
    kill: () => killProgram(child),
    pause() {
      if (hasEnded(child)) return;
      child.kill("SIGSTOP");
      // On a busy machine it goes on for a moment.
      while (!/^State:\s+T/m.test(readFileSync(`/proc/${child.pid}/status`, "utf8")));
    },
    resume: () => void child.kill("SIGCONT"),
    async restart() {
      child = await start().catch((error: unknown) => {
        if (!hasCopies || !String(error).includes("panic: ")) throw error;
        rmSync(directory, { recursive: true, force: true });
        return start();
      });
    },
    async backup() {
      await killProgram(child);
      const copy = temporaryDirectory("nats").path;
      cpSync(directory, copy, { recursive: true });
      child = await start();
      return {
        putBack: () => {
          rmSync(directory, { recursive: true, force: true });
          renameSync(copy, directory);
        },
      };
    },
    async stop() {
      await killProgram(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return server;
}

/** Resolves when a stream of so many copies can be made. */
async function whole(port: number, replicas: number): Promise<void> {
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  const stream = { name: "whole", subjects: ["whole"], num_replicas: replicas, storage: "memory" };
  for (let attempt = 0; attempt < 40; attempt++) {
    const made = await connection
      .request("$JS.API.STREAM.CREATE.whole", JSON.stringify(stream), { timeout: 1_000 })
      .then((answer) => answer.json<{ error?: unknown }>().error === undefined)
      .catch(() => false);
    if (!made) continue;
    await connection.request("$JS.API.STREAM.DELETE.whole", "");
    await connection.close();
    return;
  }
  throw new Error("the NATS cluster does not become whole");
}
