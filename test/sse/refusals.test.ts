import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { Refused } from "../../src/server/refused.ts";
import { Gate, HookedBackend } from "../server/support/backend.ts";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { unavailable } from "../server/support/core.ts";
import { ask, listen, member, refusal, streamPath, type ListenOptions } from "./support/reader.ts";

const origin = "https://app.example.com";
const token = "ann";

interface Case {
  name: string;
  rooms?: string[];
  options?: ListenOptions;
  status: number;
  code: string;
}

describe("a refusal that is final has a status and the JSON of P-80", () => {
  const long = `1~${"A".repeat(12)}.e.1`;
  it.each<Case>([
    { name: "no room", rooms: [], status: 400, code: "bad_field" },
    { name: "17 rooms", rooms: Array.from({ length: 17 }, (_, i) => `r${i}`), status: 400, code: "too_many_rooms" },
    { name: "an empty name", rooms: [""], status: 400, code: "bad_field" },
    { name: "a control character", rooms: ["a\u001b[2J\r\n"], status: 400, code: "bad_field" },
    { name: "a name of 256 bytes", rooms: ["x".repeat(256)], status: 400, code: "bad_field" },
    { name: "a name that is not NFC", rooms: ["e\u0301"], status: 400, code: "bad_field" },
    { name: "an id of another form", options: { lastEventId: "e:1" }, status: 400, code: "bad_field" },
    { name: "an id with a tab", options: { lastEventId: "1\t2" }, status: 400, code: "bad_field" },
    {
      name: "an id with an offset over 2^53-1",
      options: { lastEventId: `${long}9007199254740993` },
      status: 400,
      code: "bad_field",
    },
    {
      name: "an id of 10 KB",
      options: { lastEventId: `1${`~${"A".repeat(12)}.e.1`.repeat(600)}` },
      status: 400,
      code: "bad_field",
    },
    {
      name: "an id just over 2 kB",
      options: { lastEventId: `1~${"A".repeat(12)}.e.${"1".repeat(2_040)}` },
      status: 400,
      code: "bad_field",
    },
    {
      name: "control bytes in the query's id",
      options: { query: { last_event_id: "1\u0000" } },
      status: 400,
      code: "bad_field",
    },
    { name: "a room of the server's", rooms: ["$x"], status: 403, code: "forbidden" },
    { name: "another's personal room", rooms: ["@bob"], status: 403, code: "forbidden" },
    { name: "one room of two that is not allowed", rooms: ["open", "closed"], status: 403, code: "forbidden" },
    { name: "a room that the contract has not", rooms: ["open", "nowhere"], status: 404, code: "unknown_room" },
    { name: "an app's own refusal", rooms: ["picky"], status: 403, code: "conflict" },
    { name: "bad credentials", options: { token: "bad" }, status: 401, code: "unauthorized" },
    {
      name: "a bad ticket before a good token",
      options: { query: { ticket: "bad" } },
      status: 401,
      code: "unauthorized",
    },
    {
      name: "bad credentials before good ones",
      options: { headers: { authorization: "Bearer bad" } },
      status: 401,
      code: "unauthorized",
    },
    {
      name: "another origin",
      options: { headers: { origin: "https://app.com.evil" } },
      status: 403,
      code: "forbidden",
    },
  ])("$name: $status", async ({ rooms = ["open"], options = {}, status, code }) => {
    const { hub, port } = await serve({ rooms: { open: {}, closed: {}, picky: {} }, origins: [origin] });
    hub.on("closed", { authorize: () => false });
    hub.on("picky", { join: () => Promise.reject(new Refused("conflict", "not now")) });
    const given = { token, ...options };
    expect(await refusal(port, rooms, given)).toMatchObject({ status, code });
    await eventually(() => hub.counts().connections === 0 && hub.counts().rooms === 0);
  });

  it("no credentials: 401, which names the scheme", async () => {
    const { port } = await serve();
    const { status, code, headers } = await refusal(port, ["a"]);
    expect([status, code, headers["www-authenticate"]]).toEqual([401, "unauthorized", "Bearer"]);
  });

  it("two Last-Event-ID headers, and two in the query: 400", async () => {
    const { port } = await serve();
    const twice = await fetch(
      `http://127.0.0.1:${port}${streamPath(["a"], { token })}&last_event_id=1&last_event_id=1`,
    );
    expect(twice.status).toBe(400);
    const socket = connect(port, "127.0.0.1");
    const path = streamPath(["a"], { token });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\nLast-Event-ID: 1\r\n\r\n`);
    const [text] = await new Promise<[string]>((resolve) =>
      socket.setEncoding("utf8").once("data", (part: string) => resolve([part])),
    );
    socket.destroy();
    expect(text).toMatch(/^HTTP\/1.1 400 /);
  });

  it("lets nobody into any room where one is refused, and runs no join handler in vain", async () => {
    const { hub, port, member: join } = await serve({ rooms: { open: {}, closed: {} } });
    const joins: string[] = [];
    hub.on("open", { join: ({ user }) => void joins.push(user) });
    hub.on("closed", {
      authorize: async ({ user }) => new Promise((resolve) => setTimeout(resolve, 20, user === "bob")),
    });
    const watcher = await join("bob", "open", { presence: true });
    expect(await refusal(port, ["open", "closed"], { token })).toMatchObject({ status: 403 });
    expect(await watcher.settled()).toEqual([]);
    expect(joins).toEqual(["bob"]);
  });

  it("tells the app that one who joined is gone where a later room's handler refuses", async () => {
    const { hub, port } = await serve({ rooms: { open: {}, picky: {} } });
    const told: string[] = [];
    hub.on("open", { join: () => void told.push("join"), leave: () => void told.push("leave") });
    hub.on("picky", { join: () => Promise.reject(new Refused("forbidden", "no")) });
    expect(await refusal(port, ["open", "picky"], { token })).toMatchObject({ status: 403 });
    expect(told).toEqual(["join", "leave"]);
  });
});

describe("what passes by itself is 200, retry, an error event and the end (P-73)", () => {
  async function expectPassing(port: number, code: string, options: ListenOptions = { token }): Promise<number> {
    const reader = await ask(port, ["a"], options);
    expect([reader.status, reader.headers["content-type"]]).toEqual([200, "text/event-stream"]);
    const { frame, retryMs = 0, id } = await reader.expect({ type: "error", code });
    await reader.ended();
    expect(reader.pending()).toEqual([]);
    expect(frame["retry_after_ms"]).toBe(retryMs);
    expect(id).toBe(options.lastEventId ?? "1");
    return retryMs;
  }

  it("connections at their limit, sockets and streams together", async () => {
    const { port, connect: open } = await serve({ limits: { connections: 2 } });
    await open("bob");
    await member(port, ["a"], { token });
    expect(await expectPassing(port, "unavailable")).toBeGreaterThanOrEqual(5_000);
    await expect(open("cyd")).rejects.toThrow("refused with 503");
  });

  it("connections of an address at their limit", async () => {
    const { port } = await serve({ limits: { connectionsPerAddress: 1 } });
    await member(port, ["a"], { token });
    await expectPassing(port, "rate_limited");
  });

  it("connections of a user at their limit: waits long, as after 4300", async () => {
    const { hub, port, connect: open } = await serve({ limits: { connectionsPerUser: 2 } });
    await open("ann");
    await member(port, ["a"], { token });
    expect(await expectPassing(port, "rate_limited")).toBeGreaterThanOrEqual(30_000);
    await member(port, ["a"], { token: "bob" });
    expect(hub.counts().connections).toBe(3);
  });

  it("credentials that cannot be checked", async () => {
    const { port } = await serve({ auth: () => Promise.reject(new Error("no database")) });
    await expectPassing(port, "unavailable");
  });

  it("a check of credentials that never ends, when its time is over", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ auth: () => new Promise(() => undefined) }, { clock });
    const answer = expectPassing(port, "unavailable");
    await eventually(() => hub.counts().connections === 1);
    clock.advance(11_000);
    await answer;
    expect(hub.counts().connections).toBe(0);
  });

  it("a log that cannot be read, and the id that came in stays", async () => {
    const backend = new HookedBackend();
    const { port } = await serve({ backend });
    const first = await member(port, ["a"], { token });
    const { lastId } = first;
    backend.hook = (call) => {
      if (call === "state") throw unavailable();
    };
    await expectPassing(port, "unavailable", { token, lastEventId: lastId });
  });

  it("a handler that throws, with nothing of its text", async () => {
    const { hub, port } = await serve();
    hub.on("**", { authorize: () => Promise.reject(new Error("secret")) });
    const reader = await ask(port, ["a"], { token });
    await reader.expect({ type: "error", code: "internal" });
    await reader.ended();
    expect(reader.text).not.toContain("secret");
  });

  it("a hub that is closing", async () => {
    const { hub, port } = await serve();
    const staying = await member(port, ["a"], { token: "bob" });
    const closing = hub.close({ drainMs: 100 });
    await expectPassing(port, "unavailable");
    await staying.until({ type: "closed", code: 1012 });
    await closing;
  });

  it("but a refusal for good goes before it", async () => {
    const { hub, port } = await serve({ rooms: { broken: {}, closed: {} } });
    hub.on("broken", { authorize: () => Promise.reject(new Error("no database")) });
    hub.on("closed", { authorize: () => false });
    expect(await refusal(port, ["broken", "closed"], { token })).toMatchObject({ status: 403 });
  });
});

describe("credentials (P-11) and origins (P-80)", () => {
  it("come as a ticket, a bearer token, in the query or as a cookie", async () => {
    const { hub, port } = await serve({ cookie: "session", origins: [origin] });
    const { ticket } = await hub.tickets.create({ user: "ann" });
    const ways: ListenOptions[] = [
      { query: { ticket } },
      { headers: { authorization: "Bearer ann" } },
      { token: "ann" },
      { headers: { cookie: "session=ann", origin } },
      { headers: { cookie: "session=ann", "sec-fetch-site": "same-origin" } },
    ];
    for (const way of ways) {
      const reader = await ask(port, ["@ann"], way);
      await reader.expect({ type: "welcome", user: "ann" });
    }
    expect(await refusal(port, ["@ann"], { query: { ticket } })).toMatchObject({ status: 401 });
    expect(await refusal(port, ["@ann"], { headers: { cookie: "session=ann" } })).toMatchObject({ status: 401 });
  });

  it("are not needed where anonymous users are let in, who come back as the same", async () => {
    const { port } = await serve({ anonymous: true, anonymousRooms: ["open"] });
    const query = { anonymous: "x".repeat(22), auth: "first" };
    const users = [await ask(port, ["open"], { query }), await ask(port, ["open"], { query })];
    const [one, two] = await Promise.all(users.map((reader) => reader.expect({ type: "welcome" })));
    expect(one?.frame["user"]).toMatch(/^~/);
    expect(one?.frame["user"]).toBe(two?.frame["user"]);
    expect(await refusal(port, ["other"], { query })).toMatchObject({ status: 403 });
    expect(await refusal(port, ["open"], { query: { anonymous: "short" } })).toMatchObject({ status: 401 });
  });

  it("an allowed origin may read, refusals too, and with its cookies", async () => {
    const { port } = await serve({ origins: [origin] });
    const cors = { "access-control-allow-origin": origin, "access-control-allow-credentials": "true", vary: "origin" };
    const reader = await listen(port, ["a"], { token, headers: { origin } });
    expect(reader.headers).toMatchObject(cors);
    expect((await refusal(port, [], { token, headers: { origin } })).headers).toMatchObject(cors);
  });

  it("an origin that `*` alone lets in gets no credentials, and another none at all", async () => {
    const all = await serve({ origins: ["*"] });
    const { headers } = await listen(all.port, ["a"], { token, headers: { origin } });
    expect(headers["access-control-allow-origin"]).toBe("*");
    expect(headers).not.toHaveProperty("access-control-allow-credentials");
    const one = await serve({ origins: [origin] });
    const other = await refusal(one.port, ["a"], { token, headers: { origin: "null" } });
    expect(other.headers).not.toHaveProperty("access-control-allow-origin");
  });

  it("a preflight is answered for pages that read with fetch", async () => {
    const { port } = await serve({ origins: [origin] });
    const answer = await fetch(`http://127.0.0.1:${port}/sse?room=a`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "GET", "access-control-request-headers": "authorization" },
    });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-headers")).toContain("last-event-id");
  });
});

describe("a stream that is closed before it began", () => {
  it("is told why, in place of welcome, and enters no room", async () => {
    const backend = new HookedBackend();
    const { hub, port } = await serve({ backend });
    const gate = new Gate();
    let waiting = 0;
    backend.hook = (call, when) => {
      if (call !== "subscribe" || when !== "before") return undefined;
      waiting++;
      return gate.passed;
    };
    const asked = ask(port, ["a", "b"], { token });
    await eventually(() => waiting === 2);
    await hub.user("ann").disconnect();
    const reader = await asked;
    expect(reader.status).toBe(200);
    await reader.expect({ type: "closed", code: 4003 });
    await reader.ended();
    gate.open();
    await eventually(() => hub.counts().rooms === 0);
    expect(reader.pending()).toEqual([]);
  });
});

describe("a peer that goes before it has its stream", () => {
  it("is in no room, and leaves nothing", async () => {
    const backend = new HookedBackend();
    const { hub, port } = await serve({ backend });
    const gate = new Gate();
    const told: string[] = [];
    hub.on("**", { join: () => void told.push("join"), leave: () => void told.push("leave") });
    backend.hook = (call, when) => (call === "subscribe" && when === "before" ? gate.passed : undefined);
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET ${streamPath(["a", "b"], { token })} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await eventually(() => told.length === 2);
    socket.destroy();
    await eventually(() => hub.counts().connections === 0);
    gate.open();
    await eventually(() => hub.counts().rooms === 0 && told.length === 4);
    expect(told).toEqual(["join", "join", "leave", "leave"]);
  });
});
