// What the bench needs of the machine: a compiler where there is one, taskset where there is one, the peers' packages.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../scripts/steps.mjs";

export const bench = fileURLToPath(new URL("..", import.meta.url));
/** Binaries, targets and logs of a run; not kept in git. */
export const scratch = join(bench, ".tmp");

export const serverCpu = 0;
export const loadCpu = 1;

export async function installPeers() {
  mkdirSync(scratch, { recursive: true });
  if (ageOf("node_modules/.package-lock.json") >= ageOf("package-lock.json")) return true;
  console.log("Installing the peers (npm ci in bench/) …");
  return (await run("npm", ["ci", "--prefix", bench])) === 0;
}

const binaries = new Map();

/** The binary made from a C file, or undefined where there is no compiler; then `why` is told. Once a run for each. */
export function compile(source, why) {
  if (!binaries.has(source)) binaries.set(source, compileNow(source, why));
  return binaries.get(source);
}

function compileNow(source, why) {
  const compiler = ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (compiler === undefined) {
    console.log(`No C compiler: ${why}`);
    return undefined;
  }
  const binary = join(scratch, source.replaceAll("/", "-").replace(/\.c$/, ""));
  const { status, stderr } = spawnSync(compiler, ["-O2", "-o", binary, join(bench, source)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${source} does not compile: ${stderr}`);
  return binary;
}

/** Starts a program on one processor, where this machine lets us choose. */
export function spawnOn(cpu, command, options = {}) {
  const [program, ...args] = canPin() ? ["taskset", "-c", String(cpu), ...command] : command;
  return spawn(program, args, options);
}

export function canPin() {
  return availableParallelism() > 1 && spawnSync("taskset", ["--version"]).status === 0;
}

export function sleep(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function ageOf(path) {
  const file = join(bench, path);
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}
