import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { emptyDirectory, run, start } from "./process.ts";

const anyPort = ["serve", "--port", "0", "--log-level", "warn"];
const inMemory = [...anyPort, "--backend", "memory"];
type Frame = Record<string, unknown>;

/** Opens a socket; `next` gives one frame after the other, in order. */
function open(url: string): { socket: WebSocket; next: () => Promise<Frame> } {
  const socket = new WebSocket(url.replace("http", "ws"), "fanfare.v1");
  onTestFinished(() => socket.terminate());
  const frames: Frame[] = [];
  const waiting: ((frame: Frame) => void)[] = [];
  socket.on("message", (data) => {
    const frame = JSON.parse(String(data)) as Frame;
    const first = waiting.shift();
    if (first === undefined) frames.push(frame);
    else first(frame);
  });
  const next = (): Promise<Frame> => {
    const frame = frames.shift();
    return frame === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(frame);
  };
  return { socket, next };
}

async function makeToken(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(["token", "--secret", "test-secret", ...args]);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout.trim();
}

/** Writes a config module and gives its path. */
function config(text: string): string {
  const file = join(emptyDirectory(), "fanfare.config.mjs");
  writeFileSync(file, text);
  return file;
}

describe("the command", () => {
  test("says what it can do, and in which version", async () => {
    const help = await run([]);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("serve");
    expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const serve = await run(["serve", "--help"]);
    for (const flag of ["--secret", "--limit", "--drain-ms"]) expect(serve.stdout).toContain(flag);
  });

  test.each([
    [["dance"], 'fanfare: unknown command "dance"; known: serve, token\n'],
    [["toString"], 'fanfare: unknown command "toString"; known: serve, token\n'],
    [["serve", "--prot", "1"], 'fanfare: unknown flag "--prot"; --help lists them\n'],
    [["serve"], "fanfare: nobody could connect: give --secret, --jwks, a --config with auth, --anonymous, or --dev\n"],
    [["serve", "--anonymous", "--config", "none.mjs"], 'fanfare: --config "none.mjs": there is no such file\n'],
    [["token", "--user", "ann"], /^fanfare: --secret is missing[^\n]*\n$/],
  ])("%j is one line and exit code 2", async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });
});

describe("serve", () => {
  test("a port in use is one line and exit code 1", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await run([...inMemory, "--port", String(port), "--secret", "s"]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `fanfare: port ${port} on 127.0.0.1 is in use; choose another with --port, or 0 for any free one\n`,
    );
  });

  test("an address that is not this machine's is one line and exit code 1", async () => {
    const { code, stderr } = await run([...inMemory, "--host", "192.0.2.1", "--secret", "s"]);
    expect([code, stderr]).toEqual([1, "fanfare: 192.0.2.1 is no address of this machine; see --host\n"]);
  });

  test("a token lets its user into its rooms, and into no other", async () => {
    const url = await start([...inMemory, "--secret", "test-secret"]).url;
    const token = await makeToken("--user", "ann", "--rooms", "chat/*", "--expires", "5m");
    const { socket, next } = open(`${url}/ws?token=${token}`);
    expect(await next()).toMatchObject({ type: "welcome", user: "ann" });
    socket.send('{"type":"join","id":"1","room":"chat/a"}');
    expect(await next()).toMatchObject({ type: "joined", re: "1" });
    socket.send('{"type":"join","id":"2","room":"news"}');
    expect(await next()).toMatchObject({ type: "error", re: "2", code: "forbidden" });
  });

  test("a token without rooms reaches the personal room alone", async () => {
    const url = await start([...inMemory, "--secret", "test-secret"]).url;
    const { socket, next } = open(`${url}/ws?token=${await makeToken("--user", "ann")}`);
    expect(await next()).toMatchObject({ type: "welcome" });
    socket.send('{"type":"join","id":"1","room":"chat"}');
    expect(await next()).toMatchObject({ type: "error", re: "1", code: "forbidden" });
    socket.send('{"type":"join","id":"2","room":"@ann"}');
    expect(await next()).toMatchObject({ type: "joined", re: "2" });
  });

  test("a token becomes a ticket, and the ticket a connection, once", async () => {
    const url = await start([...inMemory, "--secret", "test-secret"]).url;
    const authorization = `Bearer ${await makeToken("--user", "ann")}`;
    const response = await fetch(`${url}/v1/tickets`, { method: "POST", headers: { authorization } });
    const { ticket } = (await response.json()) as { ticket: string };
    expect(await open(`${url}/ws?ticket=${ticket}`).next()).toMatchObject({ type: "welcome", user: "ann" });
    expect(await open(`${url}/ws?ticket=${ticket}`).next()).toMatchObject({ type: "error", code: "unauthorized" });
  });

  test("limits and variables reach the welcome", async () => {
    const env = { FANFARE_SECRET: "test-secret", FANFARE_LIMIT: "rooms=7" };
    const url = await start([...inMemory, "--limit", "rooms=9", "--limit", "requests_per_s=5000"], env).url;
    const { next } = open(`${url}/ws?token=${await makeToken("--user", "ann")}`);
    expect(await next()).toMatchObject({ limits: { rooms: 9, requests_per_s: 5000 } });
  });

  test("messages are on disk by default, and there after kill -9", async () => {
    const directory = emptyDirectory();
    const args = [...anyPort, "--secret", "test-secret", "--backend", `lmdb:${join(directory, "log")}`];
    const token = await makeToken("--user", "ann", "--rooms", "**");

    const first = start(args);
    const before = open(`${await first.url}/ws?token=${token}`);
    await before.next();
    before.socket.send('{"type":"join","room":"chat"}');
    await before.next();
    before.socket.send('{"type":"publish","id":"1","room":"chat","event":"say","data":"kept","echo":false}');
    const answers = [await before.next(), await before.next()];
    expect(answers).toContainEqual(expect.objectContaining({ type: "ack", re: "1", offset: 1 }));
    first.signal("SIGKILL");
    await first.ended;

    const after = open(`${await start(args).url}/ws?token=${token}`);
    await after.next();
    after.socket.send('{"type":"join","room":"chat","history":10}');
    expect(await after.next()).toMatchObject({ type: "joined", replay: 1 });
    expect(await after.next()).toMatchObject({ type: "message", data: "kept", offset: 1 });
  });

  test("SIGTERM ends it with 0 within the drain, its connections told", async () => {
    const server = start([...inMemory, "--secret", "test-secret", "--drain-ms", "200"]);
    const { socket, next } = open(`${await server.url}/ws?token=${await makeToken("--user", "ann")}`);
    expect(await next()).toMatchObject({ type: "welcome" });
    const closed = once(socket, "close");
    const began = Date.now();
    server.signal("SIGTERM");
    expect(await next()).toMatchObject({ type: "drain" });
    expect((await closed)[0]).toBe(1012);
    expect((await server.ended).code).toBe(0);
    expect(Date.now() - began).toBeLessThan(200 + 2_000);
  });

  describe("SIGTERM, for who calls over HTTP,", () => {
    /** A server with a slow handler; `publish` asks as ann. */
    async function slowServer(drainMs: number): Promise<{
      server: ReturnType<typeof start>;
      address: string;
      publish: (event: string) => Promise<Response>;
      began: () => Promise<boolean>;
    }> {
      const file = config(`let begun = 0;
      export default {
        setup: (hub) => hub.on("**", { publish: {
          slow: () => { begun++; return new Promise((done) => setTimeout(done, 300)); },
          begun: () => ({ result: begun }),
        } }),
      };`);
      const flags = ["--secret", "test-secret", "--drain-ms", String(drainMs), "--config", file];
      const server = start([...inMemory, ...flags]);
      const token = await makeToken("--user", "ann", "--rooms", "**");
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const url = await server.url;
      const publish = (event: string): Promise<Response> =>
        fetch(`${url}/v1/rooms/r/messages`, { method: "POST", headers, body: JSON.stringify({ event }) });
      const began = async (): Promise<boolean> =>
        ((await (await publish("begun")).json()) as { result: number }).result > 0;
      return { server, address: `${url}/ws?token=${token}`, publish, began };
    }

    test("is a drain in which calls are answered, each as the last of its connection", async () => {
      const { server, address, publish } = await slowServer(4_000);
      const { next } = open(address);
      expect(await next()).toMatchObject({ type: "welcome" });
      expect((await publish("quick")).headers.get("connection")).toBe("keep-alive");
      server.signal("SIGTERM");
      expect(await next()).toMatchObject({ type: "drain" });
      const { status, headers } = await publish("quick");
      expect([status, headers.get("connection")]).toEqual([200, "close"]);
      expect((await server.ended).code).toBe(0);
    });

    test("cuts no call off that is under way", async () => {
      const { server, publish, began } = await slowServer(0);
      const told = publish("slow");
      await expect.poll(began).toBe(true);
      server.signal("SIGTERM");
      expect((await told).status).toBe(200);
      expect((await server.ended).code).toBe(0);
    });
  });

  test("a second signal ends it at once", async () => {
    const server = start([...inMemory, "--secret", "test-secret", "--drain-ms", "60000"]);
    const { next } = open(`${await server.url}/ws?token=${await makeToken("--user", "ann")}`);
    await next();
    server.signal("SIGTERM");
    expect(await next()).toMatchObject({ type: "drain" });
    server.signal("SIGINT");
    expect((await server.ended).code).toBe(130);
  });

  test("no token is written anywhere", async () => {
    const server = start([...inMemory, "--secret", "test-secret", "--drain-ms", "0", "--log-level", "debug"]);
    const url = await server.url;
    const token = await makeToken("--user", "ann", "--rooms", "**");
    await open(`${url}/ws?token=${token}`).next();
    await open(`${url}/ws?token=${token}x`).next();
    await fetch(`${url}/v1/tickets?token=${token}`, { method: "POST", headers: { authorization: `Bearer ${token}x` } });
    server.signal("SIGTERM");
    const { stdout, stderr } = await server.ended;
    expect(stdout).toContain("Fanfare listens on");
    expect(stdout + stderr).not.toContain(token);
    expect(stdout + stderr).not.toContain("test-secret");
  });
});

describe("serve --dev", () => {
  test("warns, makes tokens for anyone, and lets anonymous into every room", async () => {
    const server = start([...inMemory, "--dev", "--drain-ms", "0"]);
    const url = await server.url;
    const response = await fetch(`${url}/dev/token`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"user":"ann"}',
    });
    const { token } = (await response.json()) as { token: string };
    for (const [query, user] of [
      [`?token=${token}`, "ann"],
      ["", expect.stringMatching(/^~.{22}$/)],
    ]) {
      const { socket, next } = open(`${url}/ws${query}`);
      expect(await next()).toMatchObject({ type: "welcome", user });
      socket.send('{"type":"join","id":"1","room":"any/room"}');
      expect(await next()).toMatchObject({ type: "joined", re: "1" });
      socket.close();
    }
    server.signal("SIGTERM");
    expect((await server.ended).stderr).toBe(
      "DEV MODE: every origin, every room and every name is let in, and POST /dev/token gives anyone a token. " +
        "For a machine of your own, never for a network.\n",
    );
  });

  test("the warning is red where colours are wanted", async () => {
    const server = start([...inMemory, "--dev", "--drain-ms", "0"], { FORCE_COLOR: "1" });
    await server.url;
    server.signal("SIGTERM");
    expect((await server.ended).stderr).toContain("\u001b[31mDEV MODE");
  });

  test("without it there is no token for the asking, and no page", async () => {
    const url = await start([...inMemory, "--secret", "s"]).url;
    expect((await fetch(`${url}/dev/token`, { method: "POST" })).status).toBe(404);
    expect((await fetch(url)).status).toBe(404);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });
});

describe("serve --config", () => {
  test("gives options, under the flags, and a hub to set up", async () => {
    const file = config(`
      import { writeFileSync } from "node:fs";
      export default {
        auth: ({ token }) => (token === "open sesame" ? { user: "ali", rooms: ["cave"] } : undefined),
        limits: { rooms: 3, pingMs: 20_000 },
        setup: (hub) => writeFileSync(${JSON.stringify(`${emptyDirectory()}/was-set-up`)}, typeof hub.ready),
      };
    `);
    const url = await start([...inMemory, "--config", file, "--limit", "rooms=5"]).url;
    const { next } = open(`${url}/ws?token=open%20sesame`);
    expect(await next()).toMatchObject({ type: "welcome", user: "ali", ping_ms: 20_000, limits: { rooms: 5 } });
  });

  test.each([
    ["export default 1", "the default export must be an object of hub options"],
    ["export const auth = 1", "the default export must be an object of hub options"],
    ["export default { limit: {} }", 'unknown option "limit"; known: rooms, backend'],
    ["export default {", "cannot be loaded: syntax error: "],
    ["throw new Error('broken\\nsecond line')", "cannot be loaded: broken\n"],
    ["export default { anonymous: true, limits: { rooms: -1 } }", "cannot start: limit rooms must be"],
    ["export default { anonymous: true, setup() { throw new Error('no database') } }", "cannot start: no database"],
  ])("%j is one line", async (text, message) => {
    const { code, stderr } = await run([...inMemory, "--config", config(text)]);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  test("nothing is written where serving was refused", async () => {
    const file = join(emptyDirectory(), "log");
    await run([...anyPort, "--backend", `lmdb:${file}`]);
    expect(existsSync(file)).toBe(false);
  });
});
