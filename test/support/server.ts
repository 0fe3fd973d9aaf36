import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { http } from "./http.ts";
import { freePort } from "./ports.ts";
import { testSecret } from "./token.ts";

/** The command that is judged; `FANFARE_BIN` names another build of it. */
const command = process.env["FANFARE_BIN"] ?? fileURLToPath(new URL("../../bin/fanfare.js", import.meta.url));
const startWithinMs = 15_000;

/** An API key that every test server knows. */
export const testApiKey = "test-api-key-0123456789abcdef";
/** The one origin that every test server allows. */
export const testOrigin = "https://app.example.com";

const commonArgs = ["--secret", testSecret, "--api-key", `ops=${testApiKey}`, "--origin", testOrigin];

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** `fanfare serve` as a process of its own, on a port that is kept over restarts. */
export class TestServer {
  readonly port: number;
  readonly args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> | undefined;
  #output = "";

  constructor(port: number, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.port = port;
    this.args = args;
    this.#env = env;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** All that the process wrote to stdout and stderr, over restarts too. */
  get output(): string {
    return this.#output;
  }

  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error("the server was never started");
    return this.#child.pid;
  }

  /** Starts the process and resolves when `/healthz` says 200. Rejects with its output where it does not come up. */
  async start(): Promise<void> {
    const args = [command, "serve", "--host", "127.0.0.1", "--port", String(this.port), ...commonArgs, ...this.args];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env: this.#env });
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    this.#child = child;
    this.#exit = once(child, "exit").then(([code, signal]) => ({ code, signal }));
    const giveUpAt = Date.now() + startWithinMs;
    while (!(await this.#isHealthy())) {
      if (!this.alive) throw new Error(`the server ended while starting:\n${this.#output}`);
      if (Date.now() > giveUpAt) {
        await this.kill();
        throw new Error(`the server was not healthy within ${startWithinMs} ms:\n${this.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** SIGTERM, and how it ended. */
  stop(): Promise<Exit> {
    return this.signal("SIGTERM");
  }

  /** kill -9: no clean-up of any kind. */
  kill(): Promise<Exit> {
    return this.signal("SIGKILL");
  }

  signal(name: NodeJS.Signals): Promise<Exit> {
    if (this.#child === undefined || this.#exit === undefined) throw new Error("the server was never started");
    this.#child.kill(name);
    return this.#exit;
  }

  /** Resolves when the process has ended by itself. */
  get exited(): Promise<Exit> {
    if (this.#exit === undefined) throw new Error("the server was never started");
    return this.#exit;
  }

  rssBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  /** How many sockets and files the process holds open, its listener and its log included. */
  sockets(): number {
    const fds = `/proc/${this.pid}/fd`;
    return readdirSync(fds).length;
  }

  async #isHealthy(): Promise<boolean> {
    try {
      return (await http(`http://${this.host}/healthz`)).status === 200;
    } catch {
      return false;
    }
  }
}

/** A running server with a secret, an API key and an allowed origin; `args` are added to the command. */
export async function startServer(args: readonly string[] = []): Promise<TestServer> {
  const server = new TestServer(await freePort(), args);
  await server.start();
  return server;
}

/** For `afterAll`: ends the process at once, whatever state it is in. */
export async function endServer(server: TestServer | undefined): Promise<void> {
  if (server?.alive === true) await server.kill();
}
