// The load generator as the scenarios see it: load/load.c, or load/load.mjs where C cannot be compiled.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cpu } from "./process.mjs";
import { bench, compile, loadCpu, scratch, spawnOn } from "./tools.mjs";

let files = 0;

/**
 * Opens `users.length` connections to a server, each of its own user, and resolves when all of them are in their rooms.
 * `roomOf` gives the room of the n-th. `data` is the published data with `%T` and `%N` in it.
 */
export async function startLoad(peer, port, { users, roomOf, data, stall = 0, sources = 1, concurrency = 100 }) {
  const file = join(scratch, `targets-${process.pid}-${files++}`);
  writeFileSync(file, users.map((user, n) => `${peer.target(roomOf(n), user)}\n`).join(""));
  const flags = {
    port,
    targets: file,
    match: peer.match,
    "ready-frames": peer.readyFrames,
    header: peer.header ?? "",
    publish: data === undefined ? "" : peer.publish(data),
    stall,
    sources,
    concurrency,
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  for (const reply of peer.replies) args.push("--reply", reply);
  const child = spawnOn(loadCpu, [...generator(), ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the load generator ended");
    return JSON.parse(value);
  };
  const opened = await next();
  if (opened.failed > 0) throw new Error(`${opened.failed} of ${users.length} connections to ${peer.name} failed`);
  return {
    opened,
    cpu: () => cpu(child.pid),
    start: (ratePerS) => child.stdin.write(`start ${ratePerS}\n`),
    stop: () => child.stdin.write("stop\n"),
    /** Forgets the latencies so far. Counters go on. */
    clear: () => child.stdin.write("clear\n"),
    report() {
      child.stdin.write("report\n");
      return next();
    },
    async quit() {
      const exit = once(child, "exit");
      child.stdin.end("quit\n");
      await exit;
    },
  };
}

/** Names of distinct users. */
export function makeUsers(count, from = 0) {
  return Array.from({ length: count }, (_, n) => `user-${from + n}`);
}

/** JSON of exactly so many bytes, with the time and the number of each message in it. */
export function makeData(bytes) {
  const shell = `{"t":"${"0".repeat(16)}","n":"${"0".repeat(10)}","pad":""}`;
  return `{"t":"%T","n":"%N","pad":"${"x".repeat(bytes - shell.length)}"}`;
}

function generator() {
  const binary = compile("load/load.c", "the load comes from JavaScript, and the fastest servers wait for it.");
  return binary === undefined ? [process.execPath, join(bench, "load", "load.mjs")] : [binary];
}
