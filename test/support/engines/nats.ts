import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as dial } from "@nats-io/transport-node";

/** One nats-server of a test's own, on loopback. */
export interface NatsServer {
  readonly port: number;
  readonly url: string;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP; it stands still when this returns. */
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
  const directory = mkdtempSync(join(tmpdir(), "fanfare-nats-"));
  return started(own, directory, [...(jetstream ? ["-js", "-sd", directory] : []), ...flags]);
}

/** Servers that know each other, with JetStream over all of them. Resolves when they can make a stream of so many copies. */
export async function startNatsCluster(count = 3): Promise<NatsCluster> {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const routes = await Promise.all(Array.from({ length: count }, freePort));
  const all = routes.map((port) => `nats://127.0.0.1:${port}`).join(",");
  const servers = await Promise.all(
    ports.map((port, i) => {
      const directory = mkdtempSync(join(tmpdir(), "fanfare-nats-"));
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
  const start = (): Promise<ChildProcess> => run(["-a", "127.0.0.1", "-p", String(port), ...flags], port);
  let child = await start();
  const server: NatsServer = {
    port,
    url: `nats://127.0.0.1:${port}`,
    kill: () => killed(child),
    pause() {
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
      await killed(child);
      const copy = mkdtempSync(join(tmpdir(), "fanfare-nats-"));
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
      await killed(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return server;
}

async function run(flags: readonly string[], port: number): Promise<ChildProcess> {
  const child = spawn(program(), flags, { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-4_000)));
  for (let attempt = 0; attempt < 400; attempt++) {
    if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}: ${words}`);
    if (await takesConnections(port)) return child;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  child.kill("SIGKILL");
  throw new Error(`nats-server takes no connections: ${words}`);
}

function program(): string {
  const named = process.env["NATS_SERVER"];
  const path = [named ?? "", "/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"].find(
    existsSync,
  );
  if (path === undefined)
    throw new Error("these tests need nats-server: install it (Debian: nats-server), or set NATS_SERVER");
  return path;
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

/** Resolves when a stream of so many copies can be made. */
async function whole(port: number, replicas: number): Promise<void> {
  const connection = await dial({ servers: `127.0.0.1:${port}` });
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
