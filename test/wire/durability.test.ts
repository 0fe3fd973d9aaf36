import { once } from "node:events";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { http } from "../support/http.ts";
import { endServer, startServer, testOrigin, type TestServer } from "../support/server.ts";
import { connect, connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

let folder = "";
let server: TestServer | undefined;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "fanfare-durability-"))));
afterEach(async () => {
  await endServer(server);
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function start(args: string[] = []): Promise<TestServer> {
  server = await startServer(["--backend", `lmdb:${join(folder, "log")}`, "--limit", "requests_per_s=5000", ...args]);
  return server;
}

async function member(
  on: TestServer,
  user: string,
  fields: JsonObject = {},
): Promise<{ peer: Peer; joined: JsonObject }> {
  const peer = await connectAs(on, user);
  peer.send({ type: "join", room: "room", ...fields });
  return { peer, joined: await peer.expect({ type: "joined" }) };
}

describe("on lmdb, what was acknowledged outlives kill -9 (P-33)", () => {
  it("at the same offset, in the same epoch, byte for byte, and so do keys (P-31)", async () => {
    const on = await start();
    const { peer, joined } = await member(on, "ann");
    for (let n = 1; n <= 50; n++)
      peer.send({ type: "publish", id: String(n), key: `k${n}`, room: "room", event: "e", data: { n, text: "hé 😀" } });
    const before: string[] = [];
    for (let acks = 0; acks < 50;) {
      const frame = await peer.next();
      if (frame["type"] === "ack") acks++;
    }
    await peer.settled();
    before.push(...peer.log.filter((text) => text.includes('"type":"message"')));
    expect(before).toHaveLength(50);
    await on.kill();
    await on.start();

    const { peer: again, joined: resumed } = await member(on, "ann", { since: joined["cursor"]! });
    expect(resumed).toMatchObject({ recovered: true, cursor: joined["cursor"], replay: 50 });
    for (let n = 1; n <= 50; n++) await again.expect({ type: "message", offset: n });
    expect(again.log.filter((text) => text.includes('"type":"message"'))).toEqual(before);
    again.send({ type: "publish", id: "again", key: "k7", room: "room", event: "e", data: { n: 7, text: "hé 😀" } });
    await again.expect({ type: "ack", re: "again", offset: 7, duplicate: true });
    again.send({ type: "publish", id: "other", key: "k7", room: "room", event: "e", data: 0 });
    await again.expect({ type: "error", re: "other", code: "conflict" });
    again.send({ type: "publish", id: "new", key: "k51", room: "room", event: "e", data: 0 });
    await again.expectAll([
      { type: "ack", re: "new", offset: 51 },
      { type: "message", offset: 51 },
    ]);
    again.destroy();
  });

  it("and an epoch that was told outlives it before any message", async () => {
    const on = await start();
    const { joined } = await member(on, "ann");
    await on.kill();
    await on.start();
    const { joined: resumed } = await member(on, "ann", { since: joined["cursor"]! });
    expect(resumed).toMatchObject({ recovered: true, cursor: joined["cursor"], replay: 0 });
  });

  it("what a member saw is there too, acknowledged or not (P-32)", async () => {
    const on = await start();
    const { peer: publisher } = await member(on, "ann");
    const { peer: watcher, joined } = await member(on, "bob");
    // Fewer than are kept by default: all of them must still be there, however many were kept before the kill.
    for (let n = 1; n <= 900; n++) publisher.send({ type: "publish", room: "room", event: "e", data: n, echo: false });
    await watcher.expect({ type: "message", offset: 1 });
    await on.kill();
    await watcher.closed();
    const last = 1 + watcher.pending().length;
    await on.start();
    const { peer: again, joined: resumed } = await member(on, "bob", { since: joined["cursor"]! });
    expect(resumed).toMatchObject({ recovered: true });
    expect(resumed["replay"]).toBeGreaterThanOrEqual(last);
    for (let n = 1; n <= last; n++) await again.expect({ type: "message", offset: n, data: n });
    again.destroy();
  });

  it("tickets too, and a spent one stays spent", async () => {
    const on = await start();
    const make = async (): Promise<string> => {
      const headers = { Authorization: `Bearer ${makeToken({ sub: "ann" })}`, Origin: testOrigin };
      const response = await http(`http://${on.host}/v1/tickets`, { method: "POST", headers });
      return (JSON.parse(response.text) as { ticket: string }).ticket;
    };
    const [spent, unspent] = [await make(), await make()];
    const first = await connect(on, { query: { ticket: spent } });
    await first.expect({ type: "welcome", user: "ann" });
    await on.kill();
    await on.start();
    const second = await connect(on, { query: { ticket: spent } });
    await second.expect({ type: "error", code: "unauthorized" });
    await second.expectClose(4001);
    const third = await connect(on, { query: { ticket: unspent } });
    await third.expect({ type: "welcome", user: "ann" });
    third.destroy();
  });
});

describe("in memory, a new start is a new epoch", () => {
  it("and a resume from the old one is not recovered (P-22)", async () => {
    server = await startServer(["--backend", "memory"]);
    const { peer, joined } = await member(server, "ann");
    peer.send({ type: "publish", room: "room", event: "e" });
    await peer.expect({ type: "message", offset: 1 });
    await server.kill();
    await server.start();
    const { joined: resumed } = await member(server, "ann", { since: joined["cursor"]! });
    expect(resumed).toMatchObject({ recovered: false, replay: 0 });
    expect(resumed["cursor"]).not.toBe(joined["cursor"]);
  });
});

describe("a log that cannot be right is refused at start, not crashed on", () => {
  async function failsToStart(): Promise<string> {
    const command = fileURLToPath(new URL("../../bin/fanfare.js", import.meta.url));
    const args = [
      command,
      "serve",
      "--port",
      "0",
      "--secret",
      "a-secret-for-tests-of-32-bytes-and-more",
      "--backend",
      `lmdb:${join(folder, "log")}`,
    ];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (bytes) => (output += String(bytes)));
    child.stderr.on("data", (bytes) => (output += String(bytes)));
    const [code, signal] = (await once(child, "exit", { signal: AbortSignal.timeout(15_000) }).finally(() =>
      child.kill("SIGKILL"),
    )) as [number | null, string | null];
    expect(signal).toBeNull();
    expect(code).toBeGreaterThan(0);
    return output;
  }

  async function largestFile(): Promise<string> {
    const names = await readdir(join(folder, "log"));
    const sizes = await Promise.all(
      names.map(async (name) => ({ name, size: (await stat(join(folder, "log", name))).size })),
    );
    return join(folder, "log", sizes.sort((a, b) => b.size - a.size)[0]!.name);
  }

  async function filled(): Promise<void> {
    const on = await start();
    const { peer } = await member(on, "ann");
    for (let n = 1; n <= 300; n++)
      peer.send({ type: "publish", id: String(n), room: "room", event: "e", data: "x".repeat(1_000), echo: false });
    await peer.until({ type: "ack", re: "300" });
    await on.stop();
  }

  it.each([0.5, 0.9])("truncated to %d of its size", async (part) => {
    await filled();
    const file = await largestFile();
    await truncate(file, Math.floor(((await stat(file)).size * part) / 4096) * 4096);
    expect(await failsToStart()).toMatch(/truncated|damaged|shorter|corrupt|short|cut/i);
  });

  it("foreign", async () => {
    await filled();
    await writeFile(await largestFile(), "this is another program's file\n".repeat(1_000));
    expect(await failsToStart()).toMatch(/not|foreign|another/i);
  });

  it("or one that another server has open", async () => {
    await start();
    expect(await failsToStart()).toMatch(/in use|another|lock/i);
  });
});
