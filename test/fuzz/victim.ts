import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { testApiKey } from "../support/server.ts";
import { testSecret } from "../support/token.ts";
import type { Fault } from "./fault.ts";
import { canaries } from "./secrets.ts";
import { allowedOrigin } from "./targets/handshake-text.ts";

const command = process.env["FANFARE_BIN"] ?? fileURLToPath(new URL("../../bin/fanfare.js", import.meta.url));
export const plainConfig: string = fileURLToPath(new URL("fixtures/fuzz.config.mjs", import.meta.url));

/** Far above what an honest client needs, so that the rate limit does not hide everything else. */
const limits = ["requests_per_s=1000000", "grace_ms=50", "auth_within_ms=2000"].flatMap((limit) => ["--limit", limit]);
const startWithinMs = 20_000;
const lastLines = 20;

export interface VictimOptions {
  readonly backend: "memory" | "lmdb";
  readonly config: string;
}

/** `fanfare serve` as a process of its own, whose every line of output is looked at. */
export class Victim {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #log: LogWatch;
  readonly #directory: string;

  private constructor(child: ChildProcess, port: number, log: LogWatch, directory: string) {
    this.#child = child;
    this.port = port;
    this.#log = log;
    this.#directory = directory;
  }

  static async start({ backend, config }: VictimOptions): Promise<Victim> {
    const directory = mkdtempSync(join(tmpdir(), "fanfare-fuzz-"));
    const kept = backend === "memory" ? "memory" : `lmdb:${join(directory, "log")}`;
    const args = ["--host", "127.0.0.1", "--port", "0", "--backend", kept, "--config", config, "--log-level", "debug"];
    const auth = ["--secret", testSecret, "--api-key", `fuzz=${testApiKey}`, "--origin", allowedOrigin];
    const child = spawn(process.execPath, [command, "serve", ...args, ...auth, ...limits], {
      cwd: directory,
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = new LogWatch();
    child.stdout.setEncoding("utf8").on("data", (text: string) => log.read(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => log.complain(text));
    const timer = setTimeout(() => child.kill("SIGKILL"), startWithinMs);
    const port = await Promise.race([log.listening, once(child, "exit").then(() => 0)]);
    clearTimeout(timer);
    if (port === 0) throw new Error(`the server did not start:\n${log.last}`);
    return new Victim(child, port, log, directory);
  }

  get fault(): Fault | undefined {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) {
      return { kind: "process", what: `it ended with ${signalCode ?? exitCode}:\n${this.#log.last}` };
    }
    return this.#log.fault;
  }

  get lines(): number {
    return this.#log.lines;
  }

  rssBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  sockets(): number {
    const fds = `/proc/${this.#child.pid}/fd`;
    return readdirSync(fds).filter((fd) => targetOf(join(fds, fd)).startsWith("socket:")).length;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    // It was closed since the list was read.
    return "";
  }
}

/** What a log must not have: anything but lines of JSON, control characters even escaped, secrets, errors. */
class LogWatch {
  readonly listening: Promise<number>;
  fault: Fault | undefined;
  lines = 0;
  #partial = "";
  readonly #recent: string[] = [];
  #heardPort: ((port: number) => void) | undefined;

  constructor() {
    this.listening = new Promise((resolve) => (this.#heardPort = resolve));
  }

  get last(): string {
    return this.#recent.join("\n");
  }

  read(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
  }

  /** Of stderr: the command says nothing there once it listens. */
  complain(text: string): void {
    this.#keep(text);
    this.fault ??= { kind: "log", what: `on stderr: ${text.slice(0, 500)}` };
  }

  #take(line: string): void {
    this.lines++;
    this.#keep(line);
    const port = /^Fanfare listens on http:\/\/127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
    if (port !== undefined) this.#heardPort?.(Number(port));
    else this.fault ??= faultOf(line);
  }

  #keep(line: string): void {
    this.#recent.push(line);
    if (this.#recent.length > lastLines) this.#recent.shift();
  }
}

// oxlint-disable-next-line no-control-regex -- they are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]|\\u00[01]|\\[bfnrt]/;

function faultOf(line: string): Fault | undefined {
  const wrong = (why: string): Fault => ({ kind: "log", what: `${why}: ${line.slice(0, 500)}` });
  if (control.test(line)) return wrong("a control character");
  let facts: { level?: unknown };
  try {
    facts = JSON.parse(line) as object;
  } catch {
    return wrong("a line that is no JSON");
  }
  const secret = canaries.find((canary) => line.includes(canary));
  if (secret !== undefined) return wrong(`a secret (${secret.slice(0, 12)}…)`);
  return facts.level === "error" ? wrong("an error") : undefined;
}
