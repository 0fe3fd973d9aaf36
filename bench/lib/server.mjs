// One measured server: started on a processor of its own, stopped when done with.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { countSockets, cpu, memory } from "./process.mjs";
import { serverCpu, sleep, spawnOn } from "./tools.mjs";

const startWithinMs = 10_000;
const stopWithinMs = 8_000;

/** Servers that still run; whoever is interrupted ends them. */
const running = new Set();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Resolves once the server said where it listens. `cpuNumber`: the processor that it runs on. */
export async function startServer(peer, cpuNumber = serverCpu) {
  const { command, env, cleanUp } = peer.start();
  const child = spawnOn(cpuNumber, command, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_ENV: "production", ...env },
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const port = await listeningPort(child, peer.name);
  // taskset becomes the program that it starts, so this is the server's own id.
  const { pid } = child;
  return {
    port,
    cpu: () => cpu(pid),
    memory: () => memory(pid),
    countSockets: () => countSockets(pid),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, "exit");
        child.kill("SIGTERM");
        await Promise.race([exit, sleep(stopWithinMs).then(() => child.kill("SIGKILL"))]);
      }
      cleanUp?.();
    },
  };
}

/** From a line such as `{"port":1234}` or `… listens on http://127.0.0.1:1234`. */
function listeningPort(child, name) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${name} did not start within ${startWithinMs} ms`)), startWithinMs);
    child.once("exit", (code) => reject(new Error(`${name} ended before it listened, with code ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const port = /"port":(\d+)|listens on http:\/\/[^ ]*:(\d+)/.exec(line);
      if (port === null) return;
      clearTimeout(late);
      resolve(Number(port[1] ?? port[2]));
    });
  });
}
