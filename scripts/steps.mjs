// What the scripts share. Plain Node: this runs before anything is installed.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
/** Written by `npm run build` when it is through; its time says how old the build is. */
export const builtStamp = join(root, "dist", ".built");

/** What a build is made of. */
const sources = ["src", "examples/chat", "package.json", "tsconfig.json", "tsconfig.build.json", "scripts/build.mjs"];

/** Runs a program in the repository's root, its output passed through. Resolves to its exit code. */
export function run(program, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
    child.on("error", (error) => {
      console.error(`${program}: ${error.message}`);
      resolve(127);
    });
    child.on("exit", (code, signal) => resolve(signal === null ? code : 1));
  });
}

/** Runs a script of a package in node_modules with this very Node; nothing global is ever used. */
export function runTool(file, args, env) {
  return run(process.execPath, [join(root, "node_modules", file), ...args], env);
}

/** Whether what is installed is missing, or older than the lock file. */
export function mustInstall() {
  const installed = timeOf(join(root, "node_modules", ".package-lock.json"));
  return installed < timeOf(join(root, "package-lock.json"));
}

/** Whether there is no build, or one older than its sources. */
export function mustBuild() {
  return timeOf(builtStamp) < Math.max(...sources.map((path) => newest(join(root, path))));
}

/** `npm ci` and `npm run build`, each only where needed. Resolves to whether all went well. */
export async function setUp() {
  return (await install()) && (await build());
}

export async function install() {
  if (!mustInstall()) return true;
  console.log("Installing what package-lock.json names (npm ci) …");
  return (await run("npm", ["ci"])) === 0;
}

export async function build() {
  if (!mustBuild()) return true;
  console.log("Building …");
  return (await run(process.execPath, [join(root, "scripts", "build.mjs")])) === 0;
}

/** Milliseconds since 1970; 0 where there is no such file. */
function timeOf(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

function newest(path) {
  if (!existsSync(path) || !statSync(path).isDirectory()) return timeOf(path);
  return Math.max(timeOf(path), ...readdirSync(path).map((name) => newest(join(path, name))));
}
