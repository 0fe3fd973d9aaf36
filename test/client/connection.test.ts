import { describe, expect, it, vi } from "vitest";
import { settle, World } from "./support/harness.ts";

describe("credentials", () => {
  it("a token goes as a subprotocol, beside the version", async () => {
    const world = new World({ token: "aa.bb-cc_dd" });
    const socket = await world.connect();
    expect(socket.protocols).toEqual(["fanfare.v1", "fanfare.token.aa.bb-cc_dd"]);
    expect(socket.url.href).toBe("ws://fanfare.test/ws");
  });

  it("a token that no subprotocol can hold goes as the first frame, and so does any where the app says so", async () => {
    for (const options of [{ token: "a b=" }, { token: "plain", tokenAs: "first" as const }]) {
      const world = new World(options);
      const socket = await world.connect();
      expect(socket.protocols).toEqual(["fanfare.v1"]);
      expect(socket.url.searchParams.get("auth")).toBe("first");
      socket.says({ type: "auth_required", within_ms: 10_000 });
      expect(socket.sent).toEqual([{ type: "auth", token: options.token }]);
      await world.welcome();
      expect(world.client.status.state).toBe("online");
    }
  });

  it("a ticket goes in the query", async () => {
    const world = new World({ token: "tick et", tokenAs: "ticket" });
    const socket = await world.connect();
    expect(socket.protocols).toEqual(["fanfare.v1"]);
    expect(socket.url.searchParams.get("ticket")).toBe("tick et");
  });

  it("without a token the client is the same anonymous user at every attempt", async () => {
    const world = new World({ token: undefined as never });
    const first = (await world.online()).url.searchParams.get("anonymous");
    expect(first).toMatch(/^.{22,64}$/);
    expect((await world.reconnect()).url.searchParams.get("anonymous")).toBe(first);
    const named = new World({ token: undefined as never, anonymous: "n".repeat(22) });
    expect((await named.connect()).url.searchParams.get("anonymous")).toBe("n".repeat(22));
  });

  it("without a token, where one is asked for, the client stops until it is given one", async () => {
    const world = new World({ token: undefined as never });
    const socket = await world.connect();
    socket.says({ type: "auth_required", within_ms: 10_000 });
    expect(world.client.status).toMatchObject({ state: "stopped", cause: { closeCode: 4001 } });
    world.client.setToken("t1");
    await settle();
    expect(world.socket.protocols).toContain("fanfare.token.t1");
  });

  it("a function is asked again for each attempt", async () => {
    const token = vi.fn<() => Promise<string>>().mockResolvedValueOnce("one").mockResolvedValueOnce("two");
    const world = new World({ token });
    expect((await world.online()).protocols).toContain("fanfare.token.one");
    expect((await world.reconnect(4100)).protocols).toContain("fanfare.token.two");
  });

  it("a function that fails is told, and asked again after a while", async () => {
    const cause = new Error("no session");
    const token = vi.fn<() => string>().mockImplementationOnce(() => {
      throw cause;
    });
    token.mockReturnValue("two");
    const world = new World({ token });
    world.client.connect();
    await settle();
    expect(world.errors).toMatchObject([{ code: "token_failed", cause }]);
    expect(world.client.status).toMatchObject({
      state: "waiting",
      retryInMs: 500,
      cause: { error: { code: "token_failed" } },
    });
    await world.pass(500);
    expect(world.socket.protocols).toContain("fanfare.token.two");
  });

  it("a function that gives no string has failed", async () => {
    const world = new World({ token: (() => undefined) as never });
    world.client.connect();
    await settle();
    expect(world.errors).toMatchObject([{ code: "token_failed" }]);
  });

  it("a function that never answers is given up, and its late answer dropped", async () => {
    const answers: ((token: string) => void)[] = [];
    const world = new World({ token: () => new Promise((resolve) => answers.push(resolve)) });
    world.client.connect();
    await world.pass(15_000);
    expect(world.client.status.state).toBe("waiting");
    await world.pass(500);
    expect(answers).toHaveLength(2);
    answers[0]?.("late");
    await settle();
    expect(world.sockets).toHaveLength(0);
    answers[1]?.("now");
    await settle();
    expect(world.socket.protocols).toContain("fanfare.token.now");
  });

  it("4001 stops the client until it is given other credentials", async () => {
    const world = new World();
    const socket = await world.connect();
    socket.says({ type: "error", code: "unauthorized", message: "expired" });
    socket.ends(4001);
    expect(world.client.status).toMatchObject({
      state: "stopped",
      cause: { closeCode: 4001, error: { code: "unauthorized", message: "expired" } },
    });
    await world.pass(3_600_000);
    expect(world.sockets).toHaveLength(1);
    world.client.setToken("t1");
    await settle();
    expect(world.socket.protocols).toContain("fanfare.token.t1");
  });

  it("a new token while a socket opens takes the place of the old one", async () => {
    const world = new World();
    const first = await world.connect();
    world.client.setToken("t1");
    await settle();
    expect(first.closedWith).toBe("no code");
    expect(world.sockets).toHaveLength(2);
    expect(world.socket.protocols).toContain("fanfare.token.t1");
  });
});

describe("renewal", () => {
  it("asks for a token and sends it on the open connection", async () => {
    const token = vi.fn<() => string>().mockReturnValueOnce("one").mockReturnValueOnce("two");
    const world = new World({ token });
    const socket = await world.online();
    socket.says({ type: "reauth", within_ms: 30_000 });
    await settle();
    expect(socket.ofType("auth")).toEqual([{ type: "auth", token: "two" }]);
    expect(world.sockets).toHaveLength(1);
  });

  it("by setToken too", async () => {
    const world = new World();
    const socket = await world.online();
    world.client.setToken("t1");
    await settle();
    expect(socket.ofType("auth")).toEqual([{ type: "auth", token: "t1" }]);
  });

  it("does not send the same token again, nor a ticket", async () => {
    for (const options of [{}, { token: () => `ticket-${Math.random()}`, tokenAs: "ticket" as const }]) {
      const world = new World(options);
      const socket = await world.online();
      socket.says({ type: "reauth", within_ms: 30_000 });
      await settle();
      expect(socket.ofType("auth")).toEqual([]);
    }
  });

  it("that fails is told, and leaves the connection as it is", async () => {
    const token = vi
      .fn<() => string>()
      .mockReturnValueOnce("one")
      .mockImplementation(() => {
        throw new Error("gone");
      });
    const world = new World({ token });
    const socket = await world.online();
    socket.says({ type: "reauth", within_ms: 30_000 });
    await settle();
    expect(world.errors).toMatchObject([{ code: "token_failed" }]);
    socket.says({ type: "error", code: "unauthorized", message: "bad token" });
    expect(world.errors).toMatchObject([{ code: "token_failed" }, { code: "unauthorized" }]);
    expect(world.client.status.state).toBe("online");
  });
});

describe("signs of life", () => {
  it("answers a ping at once", async () => {
    const world = new World();
    const socket = await world.online();
    socket.says({ type: "ping" });
    expect(socket.sent.at(-1)).toEqual({ type: "pong" });
  });

  it("nothing for ping_ms and 10 s means dead", async () => {
    const world = new World();
    const socket = await world.online({ ping_ms: 25_000 });
    await world.pass(30_000);
    socket.says({ type: "ping" });
    await world.pass(34_000);
    expect(world.client.status.state).toBe("online");
    await world.pass(1_001);
    expect(world.client.status).toMatchObject({ state: "waiting", cause: { closeCode: 1006 } });
    expect(socket.closedWith).toBe("no code");
  });

  it("goes by the clock, not by how often a timer ran", async () => {
    const world = new World();
    await world.online();
    world.sleep(60_000);
    await world.pass(40_000);
    expect(world.client.status.state).not.toBe("online");
  });

  it("a server's odd ping_ms does not make the client wait for ever", async () => {
    const world = new World();
    await world.online({ ping_ms: Number.MAX_SAFE_INTEGER });
    await world.pass(311_000);
    expect(world.client.status.state).not.toBe("online");
  });

  it("gives up a socket that does not open, and one that opens and says nothing", async () => {
    const world = new World();
    const socket = await world.connect();
    await world.pass(15_000);
    expect(socket.closedWith).toBe("no code");
    expect(world.client.status.state).toBe("waiting");
    await world.pass(1_000);
    expect(world.sockets).toHaveLength(2);
  });

  it.each(["look", "up", "down"] as const)("after %s the server has to answer within 5 s", async (news) => {
    const world = new World();
    const socket = await world.online();
    await world.news(news);
    expect(socket.ofType("ping")).toHaveLength(1);
    await world.pass(4_000);
    socket.says({ type: "pong", server_time: 1 });
    await world.pass(10_000);
    expect(world.client.status.state).toBe("online");
    await world.news(news);
    await world.pass(5_000);
    expect(world.client.status.state).not.toBe("online");
  });
});

describe("what the browser tells", () => {
  it("without a network the client waits for it, and tries seldom until then", async () => {
    const world = new World();
    const socket = await world.online();
    await world.news("down");
    socket.ends();
    expect(world.client.status.state).toBe("offline");
    await world.pass(29_000);
    expect(world.sockets).toHaveLength(1);
    await world.news("up");
    await world.pass(1_000);
    expect(world.sockets).toHaveLength(2);
  });

  it("a network that is wrongly told to be down does not keep the client away", async () => {
    const world = new World();
    await world.connect();
    await world.news("down");
    world.socket.ends();
    await world.pass(30_000);
    await world.welcome();
    expect(world.client.status.state).toBe("online");
  });

  it("a page that is looked at again does not wait for its turn", async () => {
    const world = new World();
    world.random = 0.99;
    const socket = await world.online();
    socket.ends();
    await world.news("look");
    expect(world.sockets).toHaveLength(2);
  });

  it("into the page cache the socket is let go without a goodbye, and out of it there is a new one", async () => {
    const world = new World();
    world.client.join("lobby");
    const socket = await world.online();
    await world.admit("lobby");
    await world.news("freeze");
    expect(socket.closedWith).toBe("no code");
    expect(world.client.status.state).toBe("offline");
    await world.news("look");
    await world.welcome();
    expect(world.socket.ofType("join")).toMatchObject([{ room: "lobby", since: "e:0" }]);
  });
});

describe("connect and close", () => {
  it("a client does nothing before it is told to", async () => {
    const world = new World();
    world.client.join("lobby");
    await world.pass(60_000);
    expect(world.sockets).toEqual([]);
    expect(world.client.status).toEqual({ state: "idle" });
    expect(world.isWatching).toBe(false);
  });

  it("connecting twice is connecting once", async () => {
    const world = new World();
    world.client.connect();
    await world.connect();
    world.client.connect();
    await settle();
    expect(world.sockets).toHaveLength(1);
  });

  it("close tells the server that this user has gone, and leaves nothing behind", async () => {
    const world = new World();
    const socket = await world.online();
    world.client.close();
    await settle();
    expect(socket.closedWith).toBe(1000);
    expect(world.client.status).toEqual({ state: "idle" });
    expect([...world.timers]).toEqual([]);
    expect(world.isWatching).toBe(false);
  });

  it("what an old socket still says is not heard", async () => {
    const world = new World();
    const socket = await world.online();
    const { onmessage, onclose } = socket;
    world.client.close();
    expect(socket.onmessage).toBeNull();
    expect(socket.onclose).toBeNull();
    expect([onmessage, onclose]).not.toContain(null);
    // In Node, an error event that nobody listens for would end the process.
    expect(socket.onerror).not.toBeNull();
  });

  it("the status is told on every change, and is one object between changes", async () => {
    const world = new World();
    await world.online();
    const { status } = world.client;
    world.socket.says({ type: "ping" });
    await world.pass(1_000);
    expect(world.client.status).toBe(status);
    expect(world.statuses.map(({ state }) => state)).toEqual(["connecting", "online"]);
    expect(status).toEqual({ state: "online", user: "ann", connection: "c1" });
  });

  it("a status listener may close the client", async () => {
    const world = new World();
    world.client.on("status", ({ state }) => {
      if (state === "online") world.client.close();
    });
    const socket = await world.online();
    expect(world.client.status.state).toBe("idle");
    expect(socket.closedWith).toBe(1000);
  });

  it("a url that is none is told by connect", () => {
    const world = new World({ url: "no url" });
    expect(() => world.client.connect()).toThrow(TypeError);
  });

  it("http urls become ws urls", async () => {
    const world = new World({ url: "https://fanfare.test/ws?x=1" });
    expect((await world.connect()).url.href).toBe("wss://fanfare.test/ws?x=1");
  });
});
