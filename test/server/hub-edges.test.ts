import { connect as dial } from "node:net";
import { describe, expect, it } from "vitest";
import { createHub, memory } from "../../src/server/index.ts";
import { resolveLimits } from "../../src/server/options.ts";
import { eventually, open, serve } from "./support/hub.ts";

const large = "x".repeat(60_000);

describe("what is large", () => {
  it("comes as pages of history that fit the reader's outbox, the newest first to be told", async () => {
    const { hub, member } = await serve();
    for (let i = 0; i < 20; i++) await hub.room("r").publish("e", large);
    const ann = await member("ann", "r");
    ann.send({ type: "history", id: "1", room: "r", limit: 100 });
    const page = await ann.expect({ type: "history", re: "1", more: true });
    const offsets = (page["messages"] as { offset: number }[]).map(({ offset }) => offset);
    expect(offsets).toEqual([17, 18, 19, 20]);
  });

  it("and too large for any outbox is refused before it is kept", async () => {
    const { hub } = await serve();
    await expect(hub.room("r").publish("e", "x".repeat(600_000))).rejects.toThrow(/at most 524288 bytes/);
    expect(await hub.room("r").history()).toEqual([]);
  });

  it("as a limit is refused where no timer or outbox could hold it", () => {
    expect(() => resolveLimits({ graceMs: 2 ** 31 })).toThrow(/graceMs must be an integer from 0 to 2147483647/);
    expect(() => resolveLimits({ messageBytes: 1_000, outboxBytes: 1_999 })).toThrow(/at least twice messageBytes/);
    expect(resolveLimits({ messageBytes: 1_000_000 }).outboxBytes).toBe(2_000_000);
  });
});

describe("a room without a log", () => {
  const rooms = { "live/:id": { keep: false } } as const;

  it("passes a message with a known key on once, and runs no handler for the repeat", async () => {
    const { hub, member } = await serve({ rooms });
    let handled = 0;
    hub.on("live/:id", { publish: { e: () => ({ result: ++handled }) } });
    const ann = await member("ann", "live/1");
    for (const id of ["1", "2"]) ann.send({ type: "publish", id, key: "k", room: "live/1", event: "e", data: 1 });
    ann.send({ type: "publish", id: "3", key: "k", room: "live/1", event: "e", data: 2 });
    const frames = [];
    for (let i = 0; i < 4; i++) frames.push(await ann.next());
    expect(frames.filter(({ type }) => type === "message")).toHaveLength(1);
    expect(frames).toContainEqual({ type: "ack", re: "1", room: "live/1", result: 1 });
    expect(frames).toContainEqual({ type: "ack", re: "2", room: "live/1", duplicate: true, result: 1 });
    expect(frames).toContainEqual(expect.objectContaining({ type: "error", re: "3", code: "conflict" }));
    expect(handled).toBe(1);
  });
});

describe("the operator's disconnect", () => {
  it("ends the grace of a user who had vanished before", async () => {
    const { hub, member } = await serve();
    const bob = await member("bob", "r");
    const ann = await member("ann", "r");
    ann.destroy();
    await eventually(() => hub.user("ann").here.connections.length === 0);
    expect(hub.room("r").here.size).toBe(2);
    await hub.user("ann").disconnect();
    expect(await hub.room("r").members()).toEqual([{ user: "bob", data: null }]);
    bob.destroy();
  });

  it("that revokes can be taken back, for users whose credentials do not tell their age", async () => {
    const { hub, port } = await serve({ auth: () => ({ user: "ann" }) });
    await hub.user("ann").disconnect({ revoke: true });
    const refused = await open(port, { query: { token: "t" } });
    await refused.expectClose(4001);
    await hub.user("ann").unrevoke();
    const ann = await open(port, { query: { token: "t" } });
    ann.destroy();
  });
});

describe("an app's parts that fail", () => {
  it("as a logger, end nothing", async () => {
    const fail = (): never => {
      throw new Error("the disk is full");
    };
    const { hub, member } = await serve({ logger: { debug: fail, info: fail, warn: fail, error: fail } });
    hub.on("**", { publish: { bad: fail } });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "bad" });
    ann.send({ type: "publish", id: "2", room: "r", event: "good" });
    await ann.until({ type: "error", re: "1", code: "internal" });
    expect(await ann.until({ type: "ack", re: "2" })).toBeDefined();
  });

  it("as a backend that cannot be opened, give 503 until it can", async () => {
    const backend = memory();
    const opened = backend.open.bind(backend);
    let isBroken = true;
    backend.open = (context) => (isBroken ? Promise.reject(new Error("in use")) : opened(context));
    const { createServer } = await import("node:http");
    const server = createServer();
    const hub = createHub({ backend, anonymous: true });
    hub.attach(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    expect(await statusOf(port)).toMatch(/^HTTP\/1.1 503 [\s\S]*Retry-After: 5/);
    isBroken = false;
    expect(await statusOf(port)).toMatch(/^HTTP\/1.1 101 /);
    await hub.close({ drainMs: 0 });
    await expect(hub.start()).rejects.toThrow(/closed/);
    server.close();
  });
});

describe("what an app's parts answer", () => {
  it.each([undefined, null, "publish", 1])("as `authorize`, %j lets nobody in", async (answer) => {
    const { hub, connect } = await serve();
    hub.on("**", { authorize: () => answer as never });
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "r" });
    await ann.expect({ type: "error", re: "1", code: "internal" });
    expect(hub.room("r").here.size).toBe(0);
  });

  it.each([
    [{ user: "~ann" }, 1013],
    [{ user: "" }, 1013],
    [{ user: "a\0" }, 1013],
    [{ user: 5 }, 1013],
    [{}, 1013],
    [{ user: "ann", expiresAt: "soon" }, 1013],
    [{ user: "ann", rooms: { a: ["fly"] } }, 1013],
    [{ user: "ann", expiresAt: 1 }, 4001],
    [null, 4001],
  ])("as `auth`, %j closes with %i", async (identity, code) => {
    const { port } = await serve({ auth: () => identity as never });
    const ann = await open(port, { query: { token: "t" } });
    await ann.expect({ type: "error" });
    expect((await ann.closed()).code).toBe(code);
  });
});

describe("what the app itself sends", () => {
  it.each([
    ["", {}],
    ["e".repeat(65), {}],
    [5, {}],
    ["e", { key: "" }],
    ["e", { key: "k".repeat(65) }],
    ["e", { from: "\u001b[2J" }],
  ])("event %j with %j is a TypeError, and nothing is kept", async (event, options) => {
    const { hub } = await serve();
    await expect(hub.room("r").publish(event as string, 1, options)).rejects.toThrow(TypeError);
    expect(await hub.room("r").history()).toEqual([]);
  });

  it("goes to users that can exist", async () => {
    const { hub } = await serve();
    expect(() => hub.user("x\0")).toThrow(/a user's name/);
  });
});

describe("a client that says goodbye and reads nothing", () => {
  it("with pages under way does not hold up anyone", async () => {
    const { hub, port, member } = await serve({ limits: { requestsPerS: 10_000 } });
    hub.on("**", { publish: { slow: () => new Promise((resolve) => setTimeout(resolve, 300)) } });
    for (let i = 0; i < 30; i++) await hub.room("big").publish("e", large);
    await hub.room("r").publish("e", large);
    const rude = await open(port, { query: { token: "rude" } });
    await rude.expect({ type: "welcome" });
    rude.send({ type: "join", id: "0", room: "r" });
    await rude.expect({ type: "joined" });
    rude.socket.pause();
    rude.send({ type: "publish", id: "1", room: "r", event: "slow" });
    rude.send({ type: "history", id: "2", room: "r", limit: 1 });
    for (let i = 0; i < 60; i++) rude.send({ type: "history", id: `h${i}`, room: "big", limit: 100 });
    const raw = (rude.socket as unknown as { _socket: { end(): void } })._socket;
    await new Promise((resolve) => setTimeout(resolve, 100));
    raw.end();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const ann = await member("ann", "r2");
    ann.send({ type: "ping", id: "p" });
    await ann.expect({ type: "pong", re: "p" });
    expect(hub.counts().connections).toBeGreaterThan(0);
  });
});

describe("a shutdown", () => {
  it("answers all that was read, also on connections that never pause", async () => {
    const { hub, member } = await serve({ limits: { requestsPerS: 10_000 } });
    hub.on("**", { publish: { e: () => new Promise((resolve) => setTimeout(resolve, 5)) } });
    const busy = await Promise.all(Array.from({ length: 5 }, (_, i) => member(`u${i}`, `r${i}`)));
    const timers = busy.map((peer, i) => {
      let n = 0;
      return setInterval(
        () => peer.isOpen && peer.send({ type: "publish", id: `${n++}`, room: `r${i}`, event: "e" }),
        2,
      );
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await hub.close({ drainMs: 200 });
    timers.forEach(clearInterval);
    const frames = busy.map((peer) => peer.pending());
    const count = (type: string): number[] => frames.map((all) => all.filter((frame) => frame["type"] === type).length);
    const acked = count("ack");
    expect(acked.every((some) => some > 0)).toBe(true);
    // Every message that came back was acknowledged too, and none was kept that was not.
    expect(acked).toEqual(count("message"));
  });
});

describe("while an `auth` is being checked", () => {
  it("a refusal keeps its place among its room's answers", async () => {
    let calls = 0;
    const late = async (): Promise<{ user: string }> => {
      if (calls++ > 0) await new Promise((resolve) => setTimeout(resolve, 50));
      return { user: "ann" };
    };
    const { port } = await serve({ auth: late });
    const ann = await open(port, { query: { token: "t" } });
    await ann.expect({ type: "welcome" });
    ann.send({ type: "join", id: "0", room: "r" });
    await ann.expect({ type: "joined" });
    ann.send({ type: "auth", id: "a", token: "t" });
    ann.send({ type: "publish", id: "1", room: "r", event: "e" });
    ann.send({ type: "publish", id: "2", room: "r", event: "" });
    ann.send({ type: "publish", id: "3", room: "r", event: "e" });
    const answers: unknown[] = [];
    while (answers.length < 4) {
      const { re } = await ann.next();
      if (re !== undefined) answers.push(re);
    }
    expect(answers).toEqual(["a", "1", "2", "3"]);
  });

  it("that never ends, what waits behind it is not held for ever", async () => {
    let calls = 0;
    const auth = (): Promise<{ user: string }> =>
      calls++ > 0 ? new Promise(() => undefined) : Promise.resolve({ user: "ann" });
    const { port } = await serve({ auth, limits: { authWithinMs: 50 } });
    const ann = await open(port, { query: { token: "t" } });
    await ann.expect({ type: "welcome" });
    ann.send({ type: "auth", id: "a", token: "t" });
    ann.send({ type: "ping", id: "p" });
    await ann.expect({ type: "error", re: "a", code: "unavailable" });
    await ann.expect({ type: "pong", re: "p" });
  });
});

it.each(["/", "", "ws", "/ws/", "/ws?x"])("%j is no path for the socket", (path) => {
  expect(() => createHub({ path })).toThrow(/path must look like/);
});

/** The head of the answer to an upgrade request. */
function statusOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = dial(port, "127.0.0.1", () => {
      const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
      socket.write(`GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${key}\r\n`);
      socket.write("Sec-WebSocket-Version: 13\r\n\r\n");
    });
    socket.once("data", (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    socket.once("error", reject);
  });
}
