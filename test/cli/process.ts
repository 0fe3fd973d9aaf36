import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const bin = fileURLToPath(new URL("../../bin/fanfare.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  /** Resolves with the address once the ready line came; rejects with all output where the process ended instead. */
  readonly url: Promise<string>;
  readonly ended: Promise<Ended>;
  readonly pid: number;
  signal(name: NodeJS.Signals): void;
}

/** Starts the command in an empty directory of its own, with no environment but PATH and what is given. */
export function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const cwd = emptyDirectory();
  const child = spawn(process.execPath, [bin, ...args], { cwd, env: { PATH: process.env["PATH"], ...env } });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  let stdout = "";
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "close").then(([code]): Ended => ({ code: code as number | null, stdout, stderr }));
  const url = new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      const address = /^Fanfare listens on (\S+)$/m.exec(stdout)?.[1];
      if (address !== undefined) resolve(address);
    });
    void ended.then((end) => reject(new Error(`it ended: ${JSON.stringify(end)}`)));
  });
  // Whoever only waits for the end does not ask for the address.
  url.catch(() => {});
  return { url, ended, pid: child.pid ?? -1, signal: (name) => child.kill(name) };
}

/** Runs the command to its end. */
export function run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended> {
  return start(args, env).ended;
}

export function emptyDirectory(): string {
  const made = mkdtempSync(join(tmpdir(), "fanfare-cli-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}
