import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where an engine's program is: named by the environment (see scripts/programs.mjs), or found on the PATH. */
export function programOf(variable: string, fallback: string): string {
  return process.env[variable] ?? fallback;
}

/** A directory that `remove` takes away again. */
export function temporaryDirectory(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `fanfare-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** What must not outlive this process, whatever ends it. */
const running = new Set<ChildProcess>();
let isWatching = false;

/** Where Debian puts servers, which is not on every user's PATH. */
const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin`;

/**
 * Starts a program and waits until it writes `ready`. Rejects with all that it wrote where it ends before that, or with
 * what to install where it is not there.
 */
export async function startProgram(program: string, args: readonly string[], ready: RegExp): Promise<ChildProcess> {
  if (!isWatching) process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));
  isWatching = true;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PATH: path } });
  running.add(child);
  child.once("exit", () => running.delete(child));
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${program} is not ready after 10 s:\n${output}`)), 10_000);
    const end = (error?: Error): void => {
      clearTimeout(timer);
      if (error === undefined) resolve();
      else reject(error);
    };
    const read = (chunk: Buffer): void => {
      if (output.length < 100_000) output += chunk.toString();
      if (ready.test(output)) end();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("error", (error) =>
      end(new Error(`${program} cannot be run: npm test says what to install`, { cause: error })),
    );
    child.once("exit", (code) => end(new Error(`${program} ended with ${code}:\n${output}`)));
  });
  return child;
}

export function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Ends a program at once, stopped or not, and waits for its end. */
export function killProgram(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
