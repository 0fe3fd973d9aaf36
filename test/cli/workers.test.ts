import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { mergeMetrics } from "../../src/cli/worker-metrics.ts";
import { type RedisServer, startRedis } from "../support/engines/redis.ts";
import { Peer } from "../support/socket.ts";
import { makeToken, testSecret } from "../support/token.ts";
import { run, start, type Running } from "./process.ts";

describe("several workers without a backend that they share", () => {
  it.each([
    [["--backend", "memory"], "memory"],
    [["--backend", "lmdb:./log"], "lmdb"],
    [[], "lmdb"],
  ])("are refused with the reason: %j", async (flags, name) => {
    const { code, stderr, stdout } = await run(["serve", "--anonymous", "--port", "0", "--workers", "2", ...flags]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("--workers 2 wants a backend that processes share, as --backend redis://");
    expect(stderr).toContain(`the ${name} backend serves one process`);
  });

  it("are refused with --dev", async () => {
    expect(await run(["serve", "--dev", "--workers", "2", "--backend", "memory"])).toMatchObject({ code: 2 });
  });
});

describe("several workers on Redis", () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  function serveTwo(): Running {
    const flags = ["--port", "0", "--workers", "2", "--backend", redis.url, "--drain-ms", "300"];
    return start(["serve", "--secret", testSecret, "--api-key", "key", ...flags]);
  }

  it("share a port, and members on different ones see each other", async () => {
    const server = serveTwo();
    const url = await server.url;
    expect(workersOf(server.pid)).toHaveLength(2);
    // New connections go to the workers in turn.
    const [first, second] = [await join(url, "1"), await join(url, "2")];
    const third = await join(url, "3");
    for (const peer of [first, second]) await peer.until({ type: "presence", members: 3 });
    const said = await fetch(`${url}/v1/rooms/lobby/messages`, {
      method: "POST",
      headers: { authorization: "Bearer key", "content-type": "application/json" },
      body: JSON.stringify({ event: "said", data: "hello" }),
    });
    expect(said.status).toBe(200);
    for (const peer of [first, second, third]) await peer.until({ type: "message", data: "hello" });
    const metrics = await metricsWith(url, 'fanfare_nodes{worker="1"} ', 'fanfare_nodes{worker="2"} ');
    const samples = [...metrics.matchAll(/^fanfare_connections\{kind="websocket",worker="(\d)"\} (\d+)$/gm)];
    expect(new Set(samples.map(([, worker]) => worker))).toEqual(new Set(["1", "2"]));
    expect(samples.map(([, , count]) => Number(count)).reduce((a, b) => a + b)).toBe(3);
    expect(metrics).toMatch(/^fanfare_nodes\{worker="1"\} 2$/m);

    server.signal("SIGTERM");
    for (const peer of [first, second, third]) await peer.expectClose(1012);
    const { code, stdout } = await server.ended;
    expect([code, stdout.match(/listens/g)]).toEqual([0, ["listens"]]);
  }, 30_000);

  it("are replaced when they die", async () => {
    const server = serveTwo();
    const url = await server.url;
    const [victim = 0, other] = workersOf(server.pid);
    process.kill(victim, "SIGKILL");
    let now: number[] = [];
    while (now.length < 2 || now.includes(victim)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      now = workersOf(server.pid);
    }
    expect(now).toContain(other);
    await metricsWith(url, 'fanfare_nodes{worker="3"} ');
    server.signal("SIGTERM");
    expect((await server.ended).code).toBe(0);
  }, 30_000);
});

async function join(url: string, name: string): Promise<Peer> {
  const token = makeToken({ sub: name, rooms: ["**"] });
  const peer = new Peer(new WebSocket(`${url.replace("http", "ws")}/ws?token=${token}`, ["fanfare.v1"]));
  await peer.expect({ type: "welcome" });
  peer.send({ type: "join", room: "lobby", presence: true });
  await peer.until({ type: "joined", room: "lobby" });
  return peer;
}

/** The metrics that have all of this: a worker that is too busy to answer in time is left out of some. */
async function metricsWith(url: string, ...parts: readonly string[]): Promise<string> {
  for (;;) {
    const metrics = await fetch(`${url}/metrics`).then((answer) => answer.text());
    if (parts.every((part) => metrics.includes(part))) return metrics;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The processes that it has started. */
function workersOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text
    .split(" ")
    .filter((part) => part !== "")
    .map(Number);
}

describe("the metrics of several workers", () => {
  it("are one text, in which every sample tells whose it is", () => {
    const text = (value: number): string =>
      `# HELP a Things.\n# TYPE a counter\na ${value}\na{kind="x y"} ${value}\n\n# HELP b Others.\n# TYPE b gauge\nb{} 1\n`;
    const lines = ["# HELP a Things.", "# TYPE a counter", 'a{worker="1"} 3', 'a{kind="x y",worker="1"} 3'];
    const more = ['a{worker="2"} 4', 'a{kind="x y",worker="2"} 4', "# HELP b Others.", "# TYPE b gauge"];
    const last = ['b{worker="1"} 1', 'b{worker="2"} 1', ""];
    expect(
      mergeMetrics(
        new Map([
          [1, text(3)],
          [2, text(4)],
        ]),
      ).split("\n"),
    ).toEqual([...lines, ...more, ...last]);
  });
});
