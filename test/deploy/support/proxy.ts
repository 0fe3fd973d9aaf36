import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { http } from "../../support/http.ts";
import { freePort } from "../../support/ports.ts";
import { TestServer } from "../../support/server.ts";
import {
  configuration,
  findProgram,
  kindOf,
  shippedTimes,
  type Place,
  type ProxyKind,
  type ProxyName,
  type ProxyTimes,
} from "./configurations.ts";

const startWithinMs = 10_000;

/** A real proxy with the shipped configuration before a server. */
export class Proxy {
  /** The server as it is reached through the proxy. */
  readonly server: TestServer;
  readonly #kind: ProxyKind;
  readonly #directory: string;
  readonly #child: ChildProcess;

  constructor(kind: ProxyKind, place: Place, child: ChildProcess) {
    this.server = new TestServer(place.port, []);
    this.#kind = kind;
    this.#directory = place.directory;
    this.#child = child;
  }

  get url(): string {
    return `http://${this.server.host}`;
  }

  get accessLog(): string {
    return this.#read(this.#kind.accessLog);
  }

  /** Everything that the proxy wrote anywhere. */
  get logs(): string {
    return ["access.log", "error.log", "output.log"].map((name) => this.#read(name)).join("");
  }

  get isUp(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  reload(): void {
    this.#child.kill(this.#kind.reload);
  }

  async stop(): Promise<void> {
    if (!this.isUp) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }

  #read(name: string): string {
    const path = join(this.#directory, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }
}

/** Resolves when the server answers through it. It ends with the test. */
export async function startProxy(name: ProxyName, server: TestServer, times: Partial<ProxyTimes> = {}): Promise<Proxy> {
  const kind = kindOf(name);
  const place = { directory: mkdtempSync(join(tmpdir(), "fanfare-proxy-")), port: await freePort(), server };
  // The workers are another user than the one who starts them.
  chmodSync(place.directory, 0o755);
  writeFileSync(join(place.directory, "proxy.conf"), configuration(kind, place, { ...shippedTimes, ...times }));
  const child = spawn(findProgram(kind), kind.args(place), { stdio: ["ignore", "pipe", "pipe"] });
  const write = (part: Buffer): void => writeFileSync(join(place.directory, "output.log"), part, { flag: "a" });
  child.stdout.on("data", write);
  child.stderr.on("data", write);
  const proxy = new Proxy(kind, place, child);
  onTestFinished(async () => {
    await proxy.stop();
    rmSync(place.directory, { recursive: true, force: true });
  });
  await ready(proxy);
  return proxy;
}

async function ready(proxy: Proxy): Promise<void> {
  const giveUpAt = performance.now() + startWithinMs;
  while ((await http(`${proxy.url}/readyz`).catch(() => undefined))?.status !== 200) {
    if (!proxy.isUp || performance.now() > giveUpAt) throw new Error(`the proxy does not come up:\n${proxy.logs}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
