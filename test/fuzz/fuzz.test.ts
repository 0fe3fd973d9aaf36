import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { attack } from "./attack.ts";
import type { Fault } from "./fault.ts";
import { fuzz, makeCase } from "./run.ts";
import { type Target, targets } from "./targets/index.ts";
import { plainConfig } from "./victim.ts";

const all = Object.keys(targets) as Target[];
/** Other tests run on the same cores. */
const patienceMs = 5_000;
const leastCases = 600;

describe("the fuzzer", () => {
  it.each(["memory", "lmdb"] as const)(
    "finds nothing on %s in a few seconds, and gets far",
    { timeout: 120_000 },
    async (backend) => {
      const report = await fuzz({ seed: 7, seconds: 5, leastCases, targets: all, backend, patienceMs });
      expect(report.finding).toBeUndefined();
      expect([...report.perTarget.keys()].toSorted()).toEqual(all.toSorted());
      expect(report.heard).toBeGreaterThan(10);
      const deep = ["welcome", "joined", "message", "history", "ack", "bad_field", "too_deep", "not_joined"];
      const outer = [
        "HTTP 101",
        "HTTP 200",
        "HTTP 400",
        "HTTP 401",
        "HTTP 403",
        "HTTP 404",
        "HTTP 405",
        "close 1002",
        "close 4001",
      ];
      expect([...deep, ...outer].filter((what) => !report.seen.has(what))).toEqual([]);
    },
  );

  it.each(all)("makes the same bytes of the same seed: %s", (target) => {
    for (let seed = 1; seed <= 10; seed++) expect(makeCase({ target, seed })).toEqual(makeCase({ target, seed }));
    expect(makeCase({ target, seed: 1 })).not.toEqual(makeCase({ target, seed: 2 }));
  });
});

/** A server with this beside its setup; `net` and `console` are there. */
function planted(code: string): string {
  const directory = mkdtempSync(join(tmpdir(), "fanfare-planted-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "planted.config.mjs");
  writeFileSync(
    file,
    `import net from "node:net";
    import { config } from ${JSON.stringify(pathToFileURL(plainConfig).href)};
    export default { ...config, setup(hub) {
      const onMessage = (act) => hub.endpoint("/e/none", { authenticate: "optional" }, async ({ socket, user }) => {
        for await (const message of socket) await act(message, user, socket);
      });
      const onRequest = (accept) => hub.endpoint("/e/none", { accept }, () => {});
      config.setup(hub);
      ${code}
    } };`,
  );
  return file;
}

const faults: readonly { name: string; code: string; kinds: readonly Fault["kind"][] }[] = [
  { name: "answers 500", code: `onRequest(() => ({ code: 500, reason: "planted" }));`, kinds: ["status"] },
  { name: "fails at a request", code: `onRequest(() => { throw new Error("planted"); });`, kinds: ["status", "log"] },
  {
    name: "fails at a frame",
    code: `hub.on("fuzz/:name", { join() { throw new Error("planted"); } });`,
    kinds: ["frame", "log"],
  },
  {
    name: "closes with a code that is none",
    code: `onRequest(() => ({ code: 1011, reason: "something is wrong" }));`,
    kinds: ["close code"],
  },
  { name: "dies", code: `onMessage(() => process.exit(3));`, kinds: ["process"] },
  {
    name: "stands still",
    code: `onMessage(() => { const end = Date.now() + 6_000; while (Date.now() < end); });`,
    kinds: ["neighbour"],
  },
  {
    name: "drops a neighbour",
    code: `onMessage(async () => { for (const { room } of (await hub.rooms({ prefix: "neighbour/" })).rooms) hub.user(room.slice(10)).disconnect(); });`,
    kinds: ["neighbour"],
  },
  {
    name: "keeps sockets",
    code: `onMessage(() => new Promise((done) => net.createServer().listen(0, "127.0.0.1", done)));`,
    kinds: ["left behind"],
  },
  {
    name: "writes a token to its log",
    code: `onRequest(({ query }) => console.log(JSON.stringify({ token: query.get("token") })));`,
    kinds: ["log"],
  },
  {
    name: "writes a message to its log",
    code: `hub.on("fuzz/:name", { join: ({ data }) => { console.log(JSON.stringify({ data })); } });`,
    kinds: ["log"],
  },
  {
    name: "writes control characters to its log",
    code: `onRequest(() => console.log(JSON.stringify({ user: "\\u001b[2J" })));`,
    kinds: ["log"],
  },
  { name: "writes lines that are no JSON", code: `onRequest(() => console.log("oops"));`, kinds: ["log"] },
  { name: "complains on stderr", code: `onRequest(() => console.error("oops"));`, kinds: ["log"] },
];

describe("a server that", () => {
  it.each(faults)("$name is found out", { timeout: 90_000 }, async ({ code, kinds }) => {
    const isInRooms = code.includes("hub.on(");
    const only: Target[] = isInRooms ? ["json"] : ["endpoints"];
    const report = await fuzz({
      seed: 1,
      seconds: 20,
      leastCases,
      targets: only,
      config: planted(code),
      patienceMs: 3_000,
      tries: 0,
      lanes: 8,
    });
    expect(kinds).toContain(report.finding?.fault.kind);
  });

  it("fails at one case is told that case, and the least of it", { timeout: 90_000 }, async () => {
    const config = planted(
      `onRequest(({ headers }) => ({ code: headers.host === "fuzz.test" ? 500 : 404, reason: "planted" }));`,
    );
    const told = { targets: ["endpoints" as const], config, patienceMs, tries: 40 };
    const { finding } = await fuzz({ ...told, seed: 1, seconds: 20 });
    const { culprit } = finding!;
    const bytes = (chunks: readonly Buffer[]): number => Buffer.concat(chunks).length;
    expect(bytes(culprit!.shortest.chunks)).toBeLessThan(bytes(makeCase(culprit!).chunks));
    expect(culprit!.shortest.chunks.join("")).toContain("/e/none");
    const again = await fuzz({ ...told, seed: 9, seconds: 1, only: culprit!.seed, tries: 0 });
    expect(again.finding?.fault.kind).toBe("status");
  });
});

it("an answer without a body is known as one, also where HEAD was written in two pieces", async () => {
  const headers = { "content-type": "application/json", "content-length": 7 };
  const server = createServer((_, response) => response.writeHead(200, headers).end('{"a":1}'));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const chunks = ["HE", "AD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"].map((text) =>
    Buffer.from(text),
  );
  const { port } = server.address() as AddressInfo;
  expect(await attack(port, { chunks, inputs: 2, speaks: "app" }, 0, () => undefined)).toBeUndefined();
});
