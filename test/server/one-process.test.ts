import cluster from "node:cluster";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { warningOfWorkers } from "../../src/server/one-process.ts";

describe("several workers on a backend of one process", () => {
  it.each([
    ["a worker of node:cluster", { isClusterWorker: true, env: {} }],
    ["PM2's cluster mode", { isClusterWorker: false, env: { pm_id: "0", exec_mode: "cluster_mode" } }],
    ["a second instance under PM2", { isClusterWorker: false, env: { pm_id: "3", NODE_APP_INSTANCE: "1" } }],
  ])("are warned of: %s", (_, facts) => {
    expect(warningOfWorkers("memory", facts)).toMatch(/Run one process .* or choose a backend/);
  });

  it("are not seen where PM2 runs one instance", () => {
    const env = { pm_id: "0", exec_mode: "fork_mode", NODE_APP_INSTANCE: "0" };
    expect(warningOfWorkers("memory", { isClusterWorker: false, env })).toBeUndefined();
  });

  it("are warned of by a hub in a real worker, which runs all the same", async () => {
    const exec = fileURLToPath(new URL("support/hub-in-worker.ts", import.meta.url));
    const loader = fileURLToPath(new URL("../../scripts/typescript.mjs", import.meta.url));
    cluster.setupPrimary({ exec, execArgv: ["--import", loader] });
    const worker = cluster.fork();
    const [logged] = (await once(worker, "message")) as [unknown];
    worker.kill();
    await once(worker, "exit");
    expect(logged).toEqual([expect.stringMatching(/memory backend serves one process.* a worker of node:cluster/)]);
  });
});
