import { describe, expect, it } from "vitest";
import * as z from "zod";
import { BackendUnavailable, type Backend, type RoomListener } from "../../src/backends/backend.ts";
import { memory } from "../../src/backends/memory/index.ts";
import { defineRooms } from "../../src/protocol/contract.ts";
import type { AnyHub } from "../../src/server/any-hub.ts";
import type { FollowedGap } from "../../src/server/endpoints/followers.ts";
import type { FollowedMessage, FollowOptions, FollowStart } from "../../src/server/endpoints/follow.ts";
import type { EndpointSocket } from "../../src/server/endpoints/socket.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect, type Plain } from "./plain.ts";

const texts = (message: FollowedMessage): string => `${message.event} ${String(message.data)}`;
const started = ({ cursor, recovered, replay }: FollowStart): object => ({ cursor, recovered, replay });

/** `/f/<room>?since=&history=` follows the room in plain words, and echoes. */
function following(hub: AnyHub, options: Partial<FollowOptions> = {}, sockets: EndpointSocket[] = []): void {
  hub.endpoint("/f/:room", { receive: "text" }, async ({ socket, params, query }) => {
    sockets.push(socket);
    const history = Number(query.get("history") ?? 0);
    await hub.room(params.room).follow(socket, { map: texts, started, since: query.get("since"), history, ...options });
    for await (const text of socket) socket.send(`echo ${text}`);
  });
}

async function take(peer: Plain, count: number): Promise<unknown[]> {
  const all: unknown[] = [];
  while (all.length < count) all.push(await peer.next());
  return all;
}

/** The memory backend, whose listeners a test can reach. */
function tapped(): { backend: Backend; listeners: Map<string, RoomListener> } {
  const backend = memory();
  const listeners = new Map<string, RoomListener>();
  const subscribe = backend.subscribe.bind(backend);
  backend.subscribe = (room, listener) => {
    listeners.set(room.name, listener);
    return subscribe(room, listener);
  };
  return { backend, listeners };
}

/** One whose log loses the first two messages between its state and the reading of it. */
function holed(): Backend {
  const backend = memory();
  const read = backend.read.bind(backend);
  backend.read = (room, after, limit, epoch) => read(room, Math.max(after, 2), limit, epoch);
  return backend;
}

describe("a socket that follows a room", () => {
  it("gets its messages in the app's own format, in order with its own, and is no member", async () => {
    const rooms = defineRooms({ "chat/:id": { events: { said: z.object({ text: z.string() }) } } });
    const { hub, port } = await serve({ rooms });
    const sockets: EndpointSocket[] = [];
    hub.endpoint("/chat/:id", async ({ socket, params }) => {
      sockets.push(socket);
      const room = hub.room(`chat/${params.id}`);
      await room.follow(socket, {
        map: ({ event, data, offset, cursor, from, room: name }) =>
          data.text === "secret" ? undefined : { event, text: data.text, offset, cursor, from, name },
      });
      for await (const text of socket) {
        socket.send("before");
        await room.publish("said", { text: String(text) }, { from: "ann" });
        socket.send("after");
      }
    });
    const peer = await connect(`ws://127.0.0.1:${port}/chat/1`);
    await eventually(() => hub.counts().rooms === 1);
    peer.send("hi");
    const [before, message, after] = await take(peer, 3);
    expect([before, after]).toEqual(["before", "after"]);
    const [kept] = await hub.room("chat/1").history();
    expect(message).toEqual({
      event: "said",
      text: "hi",
      offset: kept!.offset,
      cursor: expect.stringMatching(new RegExp(`^[\\w-]+:${kept!.offset}$`)),
      from: "ann",
      name: "chat/1",
    });
    await hub.room("chat/1").publish("said", { text: "secret" });
    await hub.room("chat/1").publish("said", { text: "not for it" }, { except: sockets[0]!.id });
    await hub.room("chat/1").publish("said", { text: "end" });
    expect(await peer.next()).toMatchObject({ text: "end" });
    expect([hub.room("chat/1").here.size, (await hub.rooms()).rooms, hub.room("chat/1").here.connections]).toEqual([
      0,
      [],
      [],
    ]);
  });

  it("shares what the function made with all that follow by it, and texts and bytes are what it gives", async () => {
    const { hub, port } = await serve();
    let made = 0;
    const map = ({ data }: FollowedMessage): string | Buffer => {
      made++;
      return data === "bytes" ? Buffer.from([1, 2]) : String(data);
    };
    following(hub, { map });
    const peers = await Promise.all(Array.from({ length: 20 }, () => connect(`ws://127.0.0.1:${port}/f/a`)));
    for (const peer of peers) await peer.next();
    await Promise.all(["one", "bytes", "two"].map((data) => hub.room("a").publish("e", data)));
    for (const peer of peers) expect(await take(peer, 3)).toEqual(["one", Buffer.from([1, 2]), "two"]);
    expect(made).toBe(3);
  });

  it("comes back with its cursor and gets what it missed; a cursor of another life is not recovered", async () => {
    const { hub, port } = await serve({ keep: { messages: 3 } });
    following(hub);
    const at = (query: string): Promise<Plain> => connect(`ws://127.0.0.1:${port}/f/a?${query}`);
    for (const data of [1, 2, 3]) await hub.room("a").publish("e", data);
    const { cursor } = (await (await at("")).next()) as { cursor: string };
    expect(cursor).toMatch(/:3$/);
    for (const data of [4, 5]) await hub.room("a").publish("e", data);
    expect(await take(await at(`since=${cursor}`), 3)).toEqual([{ cursor, recovered: true, replay: 2 }, "e 4", "e 5"]);
    expect(await take(await at("history=1"), 2)).toEqual([{ cursor: cursor.replace(":3", ":4"), replay: 1 }, "e 5"]);
    const head = cursor.replace(":3", ":5");
    for (const since of [cursor.replace(":3", ":1"), "other:3", "no cursor", ""]) {
      expect(await (await at(`since=${since}`)).next()).toEqual({ cursor: head, recovered: false, replay: 0 });
    }
  });

  it("misses nothing and gets nothing twice, whenever it comes into a stream of messages", async () => {
    const { hub, port } = await serve();
    following(hub, { map: ({ offset }) => String(offset), started: () => undefined });
    const peers: Plain[] = [];
    for (let i = 1; i <= 400; i++) {
      const published = hub.room("a").publish("e", "x".repeat(2_000));
      if (i % 20 === 0) peers.push(await connect(`ws://127.0.0.1:${port}/f/a?history=1000`));
      await published;
    }
    for (const peer of peers) expect(await take(peer, 400)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
  });

  it("in a room without a log is told where messages may have been lost between nodes, or closed", async () => {
    const { backend, listeners } = tapped();
    const { hub, port } = await serve({ backend, rooms: { live: { keep: false } } });
    const sockets: EndpointSocket[] = [];
    const gap = ({ cursor, reason }: FollowedGap): string => `${String(cursor)} ${reason}`;
    following(hub, { started: () => undefined, gap }, sockets);
    hub.endpoint("/wordless", async ({ socket }) => {
      sockets.push(socket);
      await hub.room("live").follow(socket, { map: texts });
      for await (const text of socket) socket.send(text);
    });
    const told = await connect(`ws://127.0.0.1:${port}/f/live`);
    const wordless = await connect(`ws://127.0.0.1:${port}/wordless`);
    await eventually(() => sockets.length === 2 && listeners.has("live"));
    await hub.room("live").publish("said", 1);
    for (const peer of [told, wordless]) expect(await peer.next()).toBe("said 1");
    listeners.get("live")?.interrupted?.();
    expect(await told.next()).toBe("undefined trimmed");
    expect(await wordless.closed()).toMatchObject({ code: 1013 });
  });

  it("hears signals where it asks for them, and messages of a room without a log", async () => {
    const { hub, port } = await serve({ rooms: { live: { keep: false } } });
    following(hub, { signal: ({ event, from }) => `signal ${event} ${from}` });
    const peer = await connect(`ws://127.0.0.1:${port}/f/live`);
    expect(await peer.next()).toEqual({ replay: 0 });
    await hub.room("live").publish("e", 1);
    expect(await peer.next()).toBe("e 1");
    await hub.room("live").signal("typing", null, { from: "bob" });
    expect(await peer.next()).toBe("signal typing bob");
  });

  it("begins anew where it follows again, and hears nothing after stop", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/f", { receive: "text" }, async ({ socket }) => {
      const room = hub.room("a");
      await room.follow(socket, { map: () => "first" });
      const again = await room.follow(socket, { map: texts, history: 10 });
      for await (const _ of socket) {
        again.stop();
        again.stop();
        await room.publish("e", "unheard");
        socket.send("stopped");
      }
    });
    await hub.room("a").publish("e", 1);
    const peer = await connect(`ws://127.0.0.1:${port}/f`);
    expect(await peer.next()).toBe("e 1");
    await hub.room("a").publish("e", 2);
    expect(await peer.next()).toBe("e 2");
    peer.send("stop");
    expect(await peer.next()).toBe("stopped");
    expect(hub.counts()).toEqual({ connections: 1, rooms: 0 });
  });
});

describe("a gap", () => {
  it.each(["trimmed", "epoch"] as const)("(%s) is told in the app's words, in its place", async (reason) => {
    const { backend, listeners } = tapped();
    const { hub, port } = await serve({ backend });
    following(hub, { gap: ({ cursor, reason: why, room }) => ({ lost: cursor, why, room }), started: () => "started" });
    const peer = await connect(`ws://127.0.0.1:${port}/f/a`);
    await peer.next();
    await hub.room("a").publish("e", 1);
    listeners.get("a")!.jumped!({ epoch: "next", offset: 7, reason });
    expect(await take(peer, 2)).toEqual(["e 1", { lost: "next:7", why: reason, room: "a" }]);
  });

  it("closes a socket whose app has no words for it", async () => {
    const { backend, listeners } = tapped();
    const { hub, port } = await serve({ backend });
    following(hub);
    const peer = await connect(`ws://127.0.0.1:${port}/f/a`);
    await peer.next();
    listeners.get("a")!.jumped!({ epoch: "next", offset: 7, reason: "trimmed" });
    expect(await peer.closed()).toEqual({ code: 1013, reason: "messages were lost" });
  });
});

describe("what goes wrong", () => {
  it("a function that throws closes those who follow by it with 1011, live and behind, and no one else", async () => {
    const { hub, port, logged } = await serve();
    const broken = (): never => {
      throw new Error("no words");
    };
    following(hub);
    hub.endpoint("/broken", async ({ socket, query }) => {
      await hub.room("a").follow(socket, { map: broken, history: Number(query.get("history")) });
      socket.send("follows");
      for await (const _ of socket);
    });
    const sound = await connect(`ws://127.0.0.1:${port}/f/a`);
    const live = await connect(`ws://127.0.0.1:${port}/broken`);
    await Promise.all([sound.next(), live.next()]);
    await hub.room("a").publish("e", 1);
    expect(await live.closed()).toMatchObject({ code: 1011 });
    const behind = await connect(`ws://127.0.0.1:${port}/broken?history=5`);
    expect(await behind.closed()).toMatchObject({ code: 1011 });
    expect(await sound.next()).toBe("e 1");
    expect(logged.filter((line) => line.includes("put into words"))).toHaveLength(2);
  });

  it("a backend that is away, an unknown room, or too many: the app is told, and nothing is held", async () => {
    const backend = memory();
    const subscribe = backend.subscribe.bind(backend);
    backend.subscribe = async (room, listener) => {
      if (room.name === "b") throw new BackendUnavailable("away");
      return subscribe(room, listener);
    };
    const { hub, port } = await serve({ backend, rooms: { a: {}, b: {}, c: {} }, limits: { rooms: 1 } });
    const hubOf: AnyHub = hub;
    const failures: unknown[] = [];
    hub.endpoint("/f", async ({ socket }) => {
      await hub.room("a").follow(socket, { map: texts });
      for (const name of ["b", "c", "unknown"]) {
        await hubOf
          .room(name)
          .follow(socket, { map: texts })
          .catch((error: Error) => failures.push(error.name));
      }
      await hub
        .room("a")
        .follow(socket, { map: texts, history: -1 })
        .catch((error: Error) => failures.push(error.name));
      socket.send("done");
      for await (const _ of socket);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/f`);
    expect(await peer.next()).toBe("done");
    expect(failures).toEqual(["BackendUnavailable", "RangeError", "Refused", "RangeError"]);
    expect(hub.counts().rooms).toBe(1);
  });

  it("words for the start that cannot be sent change nothing", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/f", { receive: "text" }, async ({ socket }) => {
      const room = hub.room("a");
      await room.follow(socket, { map: texts });
      const circle: { self?: unknown } = {};
      circle.self = circle;
      await room.follow(socket, { map: () => "never", started: () => circle }).catch(() => socket.send("refused"));
      for await (const _ of socket);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/f`);
    expect(await peer.next()).toBe("refused");
    await hub.room("a").publish("e", 1);
    expect(await peer.next()).toBe("e 1");
    peer.socket.terminate();
    await expect.poll(() => hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("a gap that is met in the log is told, and a function for it that throws closes with 1011", async () => {
    const { hub, port } = await serve({ backend: holed() });
    const gap = ({ cursor, reason }: FollowedGap): object => ({ lost: cursor?.split(":")[1], reason });
    const throwing = (): never => {
      throw new Error("no words");
    };
    following(hub, { gap, started: () => undefined });
    hub.endpoint("/broken", async ({ socket }) => {
      await hub.room("a").follow(socket, { map: texts, gap: throwing, history: 9 });
      for await (const _ of socket);
    });
    for (const data of [1, 2, 3]) await hub.room("a").publish("e", data);
    const peer = await connect(`ws://127.0.0.1:${port}/f/a?history=9`);
    expect(await take(peer, 2)).toEqual([{ lost: "2", reason: "trimmed" }, "e 3"]);
    expect((await (await connect(`ws://127.0.0.1:${port}/broken`)).closed()).code).toBe(1011);
  });

  it("nothing is left behind by sockets that vanish, in the middle of it or later", async () => {
    const { hub, port } = await serve();
    following(hub);
    const peers = await Promise.all(Array.from({ length: 5 }, () => connect(`ws://127.0.0.1:${port}/f/a?history=10`)));
    for (const peer of peers) peer.socket.terminate();
    const stays = await connect(`ws://127.0.0.1:${port}/f/b`);
    await stays.next();
    stays.socket.terminate();
    await eventually(() => hub.counts().connections === 0);
    await expect.poll(() => hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("a reader that stalls is cut with 4200, and its neighbour gets all", async () => {
    const { hub, port } = await serve({ limits: { outboxBytes: 200_000 } });
    following(hub, { map: ({ offset }) => `${offset} ${"x".repeat(50_000)}`, started: () => "started" });
    const [stalled, neighbour] = [
      await connect(`ws://127.0.0.1:${port}/f/a`),
      await connect(`ws://127.0.0.1:${port}/f/a`),
    ];
    await Promise.all([stalled.next(), neighbour.next()]);
    stalled.socket.pause();
    let count = 0;
    while (hub.counts().connections === 2) {
      await hub.room("a").publish("e", null);
      expect(await neighbour.next()).toMatch(new RegExp(`^${++count} `));
    }
    stalled.socket.resume();
    expect(await stalled.closed()).toMatchObject({ code: 4200 });
  });
});
