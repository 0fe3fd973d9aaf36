// A Redis of the bench's own, on the load's processor: it is not what is measured.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadCpu, scratch, spawnOn } from "./tools.mjs";

/** Resolves when it accepts connections; rejects where there is none on this machine. */
export async function startRedis() {
  const port = await freePort();
  const directory = mkdtempSync(join(scratch, "redis-"));
  const command = [process.env.REDIS ?? "redis-server", "--port", String(port), "--bind", "127.0.0.1"];
  const child = spawnOn(loadCpu, [...command, "--dir", directory, "--save", "", "--appendonly", "yes"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`redis-server ended with code ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => line.includes("Ready to accept") && resolve());
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      const exit = once(child, "exit");
      child.kill("SIGTERM");
      await exit;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
