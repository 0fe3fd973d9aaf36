// npm start: installs and builds what is missing, then serves the chat on the durable log. The server runs in this very
// process, so that whoever kills it kills the server.
import { readFileSync } from "node:fs";
import process from "node:process";
import { setUp } from "./steps.mjs";

/** How often to look whether npm is still there. */
const lookAfterNpmMs = 250;

if (!(await setUp())) process.exit(1);

endWithNpm();
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const { run } = await import("../dist/cli/index.js");
const address = ["--host", process.env.HOST || "127.0.0.1", "--port", process.env.PORT || "8080"];
const serve = [
  "serve",
  "--dev",
  "--backend",
  "lmdb:.fanfare",
  "--log-level",
  "warn",
  ...address,
  ...process.argv.slice(2),
];
process.exit(await run(serve, { env: process.env, stdout: process.stdout, stderr: process.stderr, listening: hint }));

/**
 * An npm that was killed hard cannot pass that on, and between it and us stands a shell that does not notice: the server
 * would run on, unseen, and hold the port. Where /proc tells who started that shell, look at it now and then.
 */
function endWithNpm() {
  const npm = parentOf(process.ppid);
  if (process.env.npm_lifecycle_event !== "start" || npm === undefined) return;
  setInterval(() => parentOf(process.ppid) === npm || process.exit(1), lookAfterNpmMs).unref();
}

function parentOf(pid) {
  try {
    return /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

function hint(url) {
  console.log(`
  Open ${url} and sign in with any name.

  What to try next
    1. Open it in a second tab under another name: messages, presence and typing appear at once in both.
    2. Kill the server the hard way:  kill -9 ${process.pid}
       Go on typing in both tabs, then run npm start again: all of it arrives, once and in order.
    3. Scroll back: the history was on disk all along, in .fanfare.
    4. Speak to it by hand:  npx wscat -c ${url.replace("http", "ws")}/ws/lobby   (PROTOCOL.md tells what to say)

  Ctrl-C stops it.
`);
}
