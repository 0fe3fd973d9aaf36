import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub, defineRooms, signToken, type Hub } from "fanfare";
import { createClient, type Client, type ClientStatus, type MessageOf } from "fanfare/client";
import * as v from "valibot";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { exchange, giveTicket, provider, rotating, sessionHub } from "../../examples/docs/auth.ts";
import { durableHub } from "../../examples/docs/durable.ts";
import { sharedHub } from "../../examples/docs/redis.ts";
import { startRedis } from "../support/engines/redis.ts";
import { chatHub, type Store } from "../../examples/docs/handlers.ts";
import { serveHub, tracedHub } from "../../examples/docs/operations.ts";
import { look, moderate, orderSent, toSome } from "../../examples/docs/publish.ts";
import { serve, talk } from "../../examples/docs/readme.ts";
import { send, timeline } from "../../examples/docs/resume.ts";
import { rooms } from "../../examples/docs/rooms.ts";
import { rooms as slowRooms, showFeed } from "../../examples/docs/slow.ts";
import { connect, openChat } from "../../examples/docs/start-client.ts";
import { hub as startHub, server as startServer } from "../../examples/docs/start.ts";
import { start } from "../cli/process.ts";
import { blocksOf, readPage } from "./markdown.ts";

const secret = "a secret for the docs' examples, 32 bytes";
type Rooms = typeof rooms;

function tokenOf(user: string, patterns = ["**"]): string {
  return signToken({ secret, user, rooms: patterns, expiresInMs: 60_000 });
}

async function listen(hub: Pick<Hub, "listen" | "close">): Promise<string> {
  const { url, server } = await hub.listen();
  onTestFinished(async () => {
    await hub.close({ drainMs: 0 });
    server.close();
  });
  return `${url}/ws`;
}

async function listenOn(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clientOf(url: string, user: string): Client<Rooms> {
  const client = createClient({ url, rooms, WebSocket, token: tokenOf(user) });
  onTestFinished(() => client.close());
  client.connect();
  return client;
}

/** Resolves with the next value of an event that fits. */
function next<T>(
  on: (listener: (value: T) => void) => () => void,
  fits: (value: T) => boolean = () => true,
): Promise<T> {
  return new Promise((resolve) => {
    const off = on((value) => {
      if (!fits(value)) return;
      off();
      resolve(value);
    });
  });
}

function status(client: Pick<Client, "on">, state: ClientStatus["state"]): Promise<ClientStatus> {
  return next<ClientStatus>(
    (listener) => client.on("status", listener),
    (value) => value.state === state,
  );
}

/** Collects values; `has` resolves once so many are there. */
function collector<T>() {
  const values: T[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  return {
    values,
    add: (value: T): void => {
      values.push(value);
      for (const one of waiting) if (values.length >= one.count) one.resolve();
    },
    has: (count: number): Promise<void> =>
      values.length >= count ? Promise.resolve() : new Promise((resolve) => void waiting.push({ count, resolve })),
  };
}

describe("the README's ten lines", () => {
  it("show what was said before and after joining", async () => {
    const { hub, url } = await serve(0);
    onTestFinished(() => hub.close({ drainMs: 0 }));
    const shown = collector<MessageOf>();
    const client = await talk(url, WebSocket, shown.add);
    onTestFinished(() => client.close());
    await shown.has(2);
    expect(shown.values).toMatchObject([
      { offset: 1, event: "said", data: { text: `hello from ${url}` }, replay: true },
      { offset: 2, event: "said", data: { text: "hi" }, replay: false },
    ]);
  });
});

describe("getting started", () => {
  it("two clients see each other, their messages and their typing", async () => {
    const page = await listenOn(startServer);
    onTestFinished(() => startHub.close({ drainMs: 0 }));
    const first = connect(page, WebSocket);
    const second = connect(page, WebSocket);
    onTestFinished(() => [first, second].forEach((client) => client.close()));
    const shown = collector<string>();
    const room = openChat(first, shown.add);
    await next((listener) => room.on("joined", listener));
    const other = second.join("chat/lobby");
    await next((listener) => other.on("joined", listener));
    other.signal("typing", null);
    await other.publish("said", { text: "hello" });
    await shown.has(3);
    expect(shown.values).toContain("1 here: ann");
    expect(shown.values).toContain("ann is typing");
    expect(shown.values).toContain("ann: hello");
  });
});

describe("what a person types", () => {
  it("is answered as the page says", async () => {
    const spoken = blocksOf(readPage("docs/getting-started.md")).find(({ info }) => info === "text spoken");
    const lines = spoken?.text.trimEnd().split("\n") ?? [];
    const running = start(["serve", "--dev", "--port", "0", "--backend", "memory"]);
    const socket = new WebSocket(`${(await running.url).replace("http", "ws")}/ws`);
    onTestFinished(() => socket.terminate());
    const got = collector<unknown>();
    socket.on("message", (data) => got.add(JSON.parse(String(data))));
    for (const { typed, answers, before } of turnsOf(lines)) {
      if (typed !== undefined) socket.send(typed);
      await got.has(before + answers.length);
      const came = got.values.slice(before);
      // `ack` and `message` come in either order.
      for (const answer of answers) expect(came).toContainEqual(answer);
    }
    expect(lines.length).toBeGreaterThan(8);
  });
});

interface Spoken {
  readonly typed: string | undefined;
  readonly answers: unknown[];
  /** So many frames came before. */
  readonly before: number;
}

/** A line that is typed, and the answers up to the next one. */
function turnsOf(lines: readonly string[]): Spoken[] {
  const turns: Spoken[] = [{ typed: undefined, answers: [], before: 0 }];
  for (const line of lines) {
    const last = turns.at(-1)!;
    if (line.startsWith("> "))
      turns.push({ typed: line.slice(2), answers: [], before: last.before + last.answers.length });
    else last.answers.push(patternOf(JSON.parse(line.slice(2).replaceAll(/:…/g, ':"…"'))));
  }
  return turns;
}

/** The value with `…` standing for anything. */
function patternOf(value: unknown): unknown {
  if (value === "…") return expect.anything();
  if (typeof value === "string" && value.includes("…")) return expect.stringContaining(value.replace("…", ""));
  if (Array.isArray(value)) return value.map(patternOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, patternOf(inner)]));
}

describe("rooms and their contract", () => {
  it("a wrong name or payload does not compile, and is refused where it gets through", async () => {
    const hub = createHub({ rooms, auth: async ({ token }) => ({ user: token }) });
    const url = await listen(hub);
    const client = createClient({ url, rooms, WebSocket, token: "ann" });
    onTestFinished(() => client.close());
    client.connect();
    const room = client.join("chat/lobby");
    // @ts-expect-error -- there is no such event
    await expect(room.publish("sang", { text: "la" })).rejects.toMatchObject({ code: "unknown_event" });
    // @ts-expect-error -- text is a string
    await expect(room.publish("said", { text: 1 })).rejects.toMatchObject({ code: "invalid_data" });
    // @ts-expect-error -- the same on the server
    await expect(hub.room("chat/lobby").publish("said", { word: "la" })).rejects.toMatchObject({
      code: "invalid_data",
    });
    // @ts-expect-error -- there is no such room
    await expect(hub.room("shop/1").publish("said", { text: "la" })).rejects.toMatchObject({ code: "unknown_room" });
    // @ts-expect-error -- only the server publishes there
    const order = client.join("orders/42").publish("changed", { state: "sent" });
    await expect(order).rejects.toMatchObject({ code: "forbidden" });
  });

  it("any Standard Schema library will do", async () => {
    const contract = defineRooms({ notes: { events: { noted: v.object({ text: v.pipe(v.string(), v.trim()) }) } } });
    const hub = createHub({ rooms: contract });
    await hub.start();
    onTestFinished(() => hub.close({ drainMs: 0 }));
    await hub.room("notes").publish("noted", { text: " hello " });
    expect(await hub.room("notes").history()).toMatchObject([{ data: { text: "hello" } }]);
    // @ts-expect-error -- text is a string
    await expect(hub.room("notes").publish("noted", { text: 1 })).rejects.toMatchObject({
      code: "invalid_data",
      issues: [{ path: ["text"] }],
    });
  });

  const store: Store = {
    isMember: async (user) => user !== "eve",
    isMuted: async (user) => user === "bob",
    save: async () => 7,
  };

  it("handlers let in, change, refuse and answer", async () => {
    const hub = chatHub(secret, store);
    const url = await listen(hub);
    const ann = clientOf(url, "ann").join("chat/lobby");
    const message = next((listener) => ann.on("message", listener));
    expect(await ann.publish("said", { text: "  darn it " })).toMatchObject({ offset: 1, result: { id: 7 } });
    expect(await message).toMatchObject({ data: { text: "d*** it" }, from: "ann" });

    const bob = clientOf(url, "bob").join("chat/lobby");
    await expect(bob.publish("said", { text: "psst" })).rejects.toMatchObject({ code: "forbidden" });
    await expect(ann.publish("said", { text: "" })).rejects.toMatchObject({ code: "invalid_data" });

    const eve = clientOf(url, "eve").join("chat/lobby");
    expect(await next((listener) => eve.on("left", listener))).toMatchObject({ reason: "forbidden" });
    const admin = clientOf(url, "zoe").join("chat/lobby", { data: { name: "admin" } });
    expect(await next((listener) => admin.on("left", listener))).toMatchObject({ reason: "invalid_data" });
  });

  it("the server publishes from anywhere: to a room, to a user, to all but one, to one", async () => {
    const hub = createHub({ rooms, auth: async ({ token }) => ({ user: token }) });
    const url = await listen(hub);
    const client = createClient({ url, rooms, WebSocket, token: "ann" });
    onTestFinished(() => client.close());
    client.connect();
    const got = collector<{ event: string; data: unknown }>();
    const opened = (["orders/42", "@ann", "chat/lobby"] as const).map((name) => client.join(name));
    for (const room of opened) room.on("message", ({ event, data }) => got.add({ event, data }));
    await Promise.all(opened.map((room) => next((listener) => room.on("joined", listener))));

    await orderSent(hub);
    await orderSent(hub);
    await got.has(5);
    expect(got.values.map(({ event }) => event).sort()).toEqual(["changed", "changed", "changed", "notice", "notice"]);
    expect(opened[0]?.rights).not.toContain("publish");

    const { connection = "" } = client.status as { connection?: string };
    const saved = next((listener) => client.on("signal", listener));
    await toSome(hub, connection);
    expect(await saved).toMatchObject({ event: "saved", data: { id: 42 } });
    expect(await look(hub)).toMatchObject({
      size: 1,
      who: [{ user: "ann", data: null }],
      newest: [{ event: "said", data: { text: "edited" }, from: "ann" }],
      busy: { rooms: [{ room: "chat/lobby", members: 1 }], more: false },
    });
    expect(got.values).toHaveLength(5);
  });

  it("an operator takes a user out, and away", async () => {
    const hub = chatHub(secret, { ...store, isMuted: async () => false });
    const url = await listen(hub);
    const client = clientOf(url, "bob");
    const room = client.join("chat/lobby");
    await next((listener) => room.on("joined", listener));
    const left = next((listener) => room.on("left", listener));
    const stopped = status(client, "stopped");
    await moderate(hub);
    expect(await left).toMatchObject({ reason: "removed" });
    expect(await stopped).toMatchObject({ cause: { closeCode: 4003 } });
    // Its token was made before the revocation.
    const refused = status(client, "stopped");
    client.connect();
    expect(await refused).toMatchObject({ cause: { closeCode: 4001 } });
  });
});

describe("a reader that is too slow", () => {
  it("misses some of a feed, is told where, and sees what follows", async () => {
    const hub = createHub({ rooms: slowRooms, auth: async ({ token }) => ({ user: token }) });
    const url = await listen(hub);
    const sockets: WebSocket[] = [];
    class Seen extends WebSocket {
      constructor(...args: ConstructorParameters<typeof WebSocket>) {
        super(...args);
        sockets.push(this);
      }
    }
    const client = createClient({ url, rooms: slowRooms, WebSocket: Seen, token: "ann" });
    onTestFinished(() => client.close());
    client.connect();
    const lines: string[] = [];
    const feed = showFeed(client, (line) => void lines.push(line));
    await next((listener) => feed.on("joined", listener));
    sockets[0]?.pause();
    for (let n = 0; n < 400; n++) {
      await hub.room("feed/news").publish("said", "x".repeat(50_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const told = next((listener) => feed.on("gap", listener));
    sockets[0]?.resume();
    expect(await told).toMatchObject({ reason: "slow", cursor: feed.cursor });
    const last = next((listener) => feed.on("message", listener));
    await hub.room("feed/news").publish("ended", null);
    await last;
    expect(lines.slice(-2)).toEqual([expect.stringMatching(/^left out after \S+:\d+, up to \S+:400: slow$/), "ended"]);
    expect(lines.length).toBeLessThan(400);
  });
});

describe("authentication", () => {
  it("takes tokens of the new secret and of the old", async () => {
    const facts = { path: "/ws", query: new URLSearchParams(), headers: {}, address: "" };
    for (const one of ["the new secret, 32 random bytes", "the old secret, 32 random bytes"]) {
      const token = signToken({ secret: one, user: "ann", expiresInMs: 60_000 });
      expect(await rotating({ kind: "query", token }, facts)).toMatchObject({ user: "ann", rooms: {} });
    }
    expect(await rotating({ kind: "query", token: tokenOf("ann") }, facts)).toBeUndefined();
    // No key set is asked for a token that is none.
    expect(await provider({ kind: "query", token: "none" }, facts)).toBeUndefined();
  });

  it("lets a session's cookie in from the app's own origin alone", async () => {
    const hub = sessionHub(async (session) => (session === "s-1" ? "ann" : undefined));
    const url = await listen(hub);
    const frames = (origin: string): Promise<unknown[]> =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, "fanfare.v1", { headers: { cookie: "session=s-1", origin } });
        socket.on("message", (data) => resolve([JSON.parse(String(data))]));
        socket.on("error", (error) => resolve([error.message]));
        socket.on("message", () => socket.close());
      });
    expect(await frames("https://app.example.com")).toMatchObject([{ type: "welcome", user: "ann" }]);
    expect(await frames("https://evil.example.com")).toEqual(["Unexpected server response: 403"]);
  });

  it("gives tickets that are good once", async () => {
    const hub = createHub({ auth: async ({ token }) => (token === "good" ? { user: "ann" } : undefined) });
    const url = await listen(hub);
    const page = await listenOn(createServer((_request, response) => void giveTicket(hub, "ann", response)));
    const { ticket } = (await (await fetch(page, { method: "POST" })).json()) as { ticket: string };
    const client = createClient({ url, WebSocket, token: ticket, tokenAs: "ticket" });
    onTestFinished(() => client.close());
    const online = status(client, "online");
    client.connect();
    expect(await online).toMatchObject({ user: "ann" });
    const again = createClient({ url, WebSocket, token: ticket, tokenAs: "ticket" });
    onTestFinished(() => again.close());
    const stopped = status(again, "stopped");
    again.connect();
    expect(await stopped).toMatchObject({ cause: { closeCode: 4001 } });
  });

  it("exchanges a token for a ticket", async () => {
    const hub = createHub({ auth: async ({ token }) => (token === "good" ? { user: "ann" } : undefined) });
    await listen(hub);
    const tickets = collector<string | undefined>();
    const page = await listenOn(
      createServer((request, response) => {
        void exchange(hub, request).then((ticket) => {
          tickets.add(ticket);
          response.end();
        });
      }),
    );
    await fetch(page, { headers: { authorization: "Bearer good" } });
    await fetch(page, { headers: { authorization: "Bearer bad" } });
    expect(tickets.values).toEqual([expect.stringMatching(/^[\w-]{43}$/), undefined]);
  });
});

describe("delivery and resume", () => {
  it("a list of messages survives a lost log: it is loaded anew, and none stands twice", async () => {
    const first = createHub({ anonymous: true });
    const { server, url } = await first.listen();
    const client = createClient({ url: `${url}/ws`, WebSocket, timing: { backoffMs: 1, spreadMs: 1 } });
    onTestFinished(() => client.close());
    client.connect();
    const missing: string[] = [];
    const { room, messages, loading } = timeline(client, {
      load: async (news) => (await news.history({ limit: 100 })).messages.map((m) => ({ ...m, replay: true })),
      missing: (reason) => missing.push(reason),
    });
    const came = collector<unknown>();
    room.on("message", came.add);
    await next((listener) => room.on("joined", listener));
    await first.room("news").publish("said", { text: "one" });
    await first.room("news").publish("said", { text: "two" });
    await came.has(2);
    expect(messages().map(({ data }) => data)).toEqual([{ text: "one" }, { text: "two" }]);

    // Another life of the log, in memory, at the same address.
    const reset = next((listener) => room.on("reset", listener));
    await first.close({ drainMs: 0 });
    await new Promise((resolve) => server.close(resolve));
    const second = createHub({ anonymous: true });
    await second.start();
    await second.room("news").publish("said", { text: "three" });
    const again = await second.listen({ port: Number(new URL(url).port) });
    onTestFinished(async () => {
      await second.close({ drainMs: 0 });
      again.server.close();
    });
    expect(await reset).toMatchObject({ reason: "epoch" });
    await loading();
    expect(messages().map(({ data }) => data)).toEqual([{ text: "three" }]);
    expect(missing).toEqual(["epoch"]);
  });

  it("a publish is kept, or not, or nobody knows", async () => {
    const hub = createHub({ anonymous: true });
    const url = await listen(hub);
    const client = createClient({ url, WebSocket });
    client.connect();
    const room = client.join("news");
    expect(await send(room, "one")).toBe("kept at 1");
    client.close();
    expect(await send(room, "two")).toBe("not kept: stopped");
  });

  it("the durable log is there after a restart", async () => {
    const directory = mkdtempSync(join(tmpdir(), "fanfare-docs-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const first = durableHub(directory);
    await first.start();
    await first.room("news").publish("said", { text: "kept" });
    await first.close({ drainMs: 0 });
    const second = durableHub(directory);
    await second.start();
    onTestFinished(() => second.close({ drainMs: 0 }));
    expect(await second.room("news").history()).toMatchObject([{ offset: 1, data: { text: "kept" } }]);
  });

  it("hubs on one Redis share their rooms", async () => {
    const engine = await startRedis();
    onTestFinished(() => engine.stop());
    const hubs = [sharedHub(engine.url), sharedHub(engine.url)] as const;
    for (const hub of hubs) await hub.start();
    onTestFinished(async () => void (await Promise.all(hubs.map((hub) => hub.close({ drainMs: 0 })))));
    await hubs[0].room("news").publish("said", { text: "shared" });
    expect(await hubs[1].room("news").history()).toMatchObject([{ offset: 1, data: { text: "shared" } }]);
  });
});

describe("operations", () => {
  it("a hub with traces serves without an SDK, too", async () => {
    const hub = tracedHub("a secret for the docs' examples, 32 bytes");
    await hub.start();
    expect(await hub.room("r").publish("e", 1)).toMatchObject({ offset: 1 });
    await hub.close();
  });

  it("a hub that is closing is not ready, and its clients are told to come back", async () => {
    const hub = createHub({ anonymous: true });
    const { server, stop } = serveHub(hub, 100);
    const page = await listenOn(server);
    expect((await fetch(`${page}/healthz`)).status).toBe(200);
    expect((await fetch(`${page}/readyz`)).status).toBe(200);
    const socket = new WebSocket(`${page.replace("http", "ws")}/ws`);
    const types: string[] = [];
    socket.on("message", (data) => types.push((JSON.parse(String(data)) as { type: string }).type));
    await once(socket, "message");
    const closed = once(socket, "close");
    const stopping = stop();
    expect(await hub.ready()).toEqual({ ready: false, reasons: ["draining"] });
    const [code] = (await closed) as [number];
    expect({ code, types }).toEqual({ code: 1012, types: ["welcome", "drain"] });
    await stopping;
    process.removeAllListeners("SIGTERM");
  });
});

describe("the command's config", () => {
  it("declares rooms and handlers for fanfare serve", async () => {
    const config = join(import.meta.dirname, "../../examples/docs/fanfare.config.mjs");
    const running = start(["serve", "--port", "0", "--backend", "memory", "--config", config]);
    const client = createClient({ url: `${await running.url}/ws`, WebSocket });
    onTestFinished(() => client.close());
    client.connect();
    const room = client.join("chat/lobby");
    expect(await room.publish("said", { text: "hello" })).toMatchObject({ offset: 1 });
    await expect(room.publish("said", { word: "hello" })).rejects.toMatchObject({ code: "invalid_data" });
  });
});
