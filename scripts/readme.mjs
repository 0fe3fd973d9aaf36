// Runs what the README promises: each line of its fenced `sh` blocks, and of those in docs/ that are marked `sh run`.
// What serves until it is stopped is started, asked for /healthz, and stopped. What this run has done already, or what
// takes very long, is named and left out.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./steps.mjs";

const startWithinMs = 60_000;
const stopWithinMs = 15_000;
const commandWithinMs = 300_000;

/** Left out, and why. */
const leftOut = [
  [/^(git clone|cd) /, "you are here"],
  [/^npm (ci|test|run build|run check)\b/, "part of npm test"],
  [/^npm (install|i) /, "changes package.json"],
  [/^npm run (bench|no-loss)/, "takes long"],
  [/^(#|$)/, undefined],
];
const serving = /^(npm start|npx fanfare serve|node bin\/fanfare\.js serve)\b|^[A-Z_]+=\S+ npm start\b/;

const passed = [];
const failed = [];
for (const { file, command } of commands()) {
  const reason = leftOut.find(([form]) => form.test(command));
  if (reason !== undefined) {
    if (reason[1] !== undefined) console.log(`left out  ${file}: ${command}  (${reason[1]})`);
    continue;
  }
  const fault = await (serving.test(command) && !command.includes("--help") ? runServer(command) : runToEnd(command));
  console.log(
    `${fault === undefined ? "passed " : "FAILED "}   ${file}: ${command}${fault === undefined ? "" : `\n${fault}`}`,
  );
  (fault === undefined ? passed : failed).push(`${file}: ${command}`);
}
if (process.env.README_RESULT) {
  writeFileSync(process.env.README_RESULT, JSON.stringify({ passed: passed.length, failed }));
}
process.exit(failed.length === 0 ? 0 : 1);

function commands() {
  const docs = existsSync(join(root, "docs")) ? readdirSync(join(root, "docs"), { recursive: true }) : [];
  const marked = docs
    .filter((name) => name.endsWith(".md"))
    .map((name) => [`docs/${name}`, /^```sh run\n(.*?)^```$/gms]);
  const all = [["README.md", /^```sh\n(.*?)^```$/gms], ...marked].filter(([file]) => existsSync(join(root, file)));
  return all.flatMap(([file, blocks]) =>
    [...readFileSync(join(root, file), "utf8").matchAll(blocks)].flatMap(([, text]) =>
      text
        .replaceAll("\\\n", " ")
        .split("\n")
        .map((line) => ({ file, command: line.replace(/\s+#\s.*$/, "").trim() })),
    ),
  );
}

/** In a group of its own, so that a shell and all it started end together. */
function start(command, env = {}) {
  const child = spawn("bash", ["-c", command], {
    cwd: root,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const ended = new Promise((resolve) => child.on("close", (code) => resolve(code)));
  return { output: () => output, ended, signal: (name) => process.kill(0 - child.pid, name), stdout: child.stdout };
}

async function runToEnd(command) {
  const child = start(command);
  const timer = setTimeout(() => child.signal("SIGKILL"), commandWithinMs);
  const code = await child.ended;
  clearTimeout(timer);
  return code === 0 ? undefined : `exit code ${code}\n${child.output()}`;
}

/** Any free port, unless the command itself names one. */
async function runServer(command) {
  const child = start(command, { PORT: "0", FANFARE_PORT: "0" });
  const url = await Promise.race([address(child), child.ended.then(() => undefined), after(startWithinMs)]);
  const health = url === undefined ? undefined : await fetch(`${url}/healthz`).catch(() => undefined);
  try {
    child.signal("SIGTERM");
  } catch {
    return `ended by itself\n${child.output()}`;
  }
  const code = await Promise.race([child.ended, after(stopWithinMs)]);
  if (code === undefined) child.signal("SIGKILL");
  if (url === undefined) return `never said where it listens\n${child.output()}`;
  if (health?.status !== 200) return `/healthz gave ${health?.status}\n${child.output()}`;
  return code === undefined ? `did not stop within ${stopWithinMs} ms of SIGTERM` : undefined;
}

function address(child) {
  return new Promise((resolve) => {
    child.stdout.on("data", () => {
      const url = /^Fanfare listens on (\S+)$/m.exec(child.output())?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}

function after(ms) {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}
