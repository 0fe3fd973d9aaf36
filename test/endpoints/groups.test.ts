import { describe, expect, it } from "vitest";
import type { EndpointSocket } from "../../src/server/endpoints/socket.ts";
import type { AnyHub } from "../../src/server/any-hub.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { BackendUnavailable } from "../../src/backends/backend.ts";
import { connect, type Plain } from "./plain.ts";
import { sharedBackend } from "./shared.ts";

function listening(hub: AnyHub, sockets: EndpointSocket[] = []): void {
  hub.endpoint("/g/:group", async ({ socket, params }) => {
    hub.group(params.group).join(socket);
    hub.group(params.group).join(socket);
    sockets.push(socket);
    for await (const _ of socket);
  });
}

describe("a group", () => {
  it("sends to all, to all but one, to one; it counts and lists, and is gone with its last socket", async () => {
    const { hub, port } = await serve();
    const sockets: EndpointSocket[] = [];
    listening(hub, sockets);
    const group = hub.group("tea");
    expect([group.size, group.sockets(), hub.groups()]).toEqual([0, [], []]);
    const peers: Plain[] = [];
    for (let i = 0; i < 3; i++) {
      peers.push(await connect(`ws://127.0.0.1:${port}/g/tea`));
      await eventually(() => group.size === i + 1);
    }
    group.broadcast("all");
    group.broadcast({ but: "first" }, { except: sockets[0]! });
    group.sockets()[1]!.send("second");
    group.broadcast(Buffer.from([1, 2]));
    const end = Buffer.from([1, 2]);
    const got = async (i: number, count: number): Promise<unknown[]> => {
      const all: unknown[] = [];
      while (all.length < count) all.push(await peers[i]!.next());
      return all;
    };
    expect(await got(0, 2)).toEqual(["all", end]);
    expect(await got(1, 4)).toEqual(["all", { but: "first" }, "second", end]);
    expect(await got(2, 3)).toEqual(["all", { but: "first" }, end]);
    expect([group.sockets(), hub.groups(), group.has(sockets[2]!)]).toEqual([sockets, ["tea"], true]);
    group.leave(sockets[2]!);
    group.leave(sockets[2]!);
    group.broadcast("rest");
    expect([await peers[0]!.next(), group.size, peers[2]!.unread]).toEqual(["rest", 2, 0]);
    for (const peer of peers) peer.socket.terminate();
    await eventually(() => hub.counts().connections === 0);
    expect([group.size, hub.groups()]).toEqual([0, []]);
    group.join(sockets[0]!);
    expect(hub.groups()).toEqual([]);
  });

  it("copies bytes that the app goes on writing to", async () => {
    const { hub, port } = await serve();
    listening(hub);
    const peer = await connect(`ws://127.0.0.1:${port}/g/a`);
    await eventually(() => hub.group("a").size === 1);
    const bytes = Buffer.from([1]);
    hub.group("a").broadcast(bytes);
    bytes[0] = 9;
    expect(await peer.next()).toEqual(Buffer.from([1]));
  });

  it("also over deflate, text and binary", async () => {
    const { hub, port } = await serve({ deflate: true });
    listening(hub);
    const peer = await connect(`ws://127.0.0.1:${port}/g/a`, { perMessageDeflate: true });
    expect(peer.socket.extensions).toContain("permessage-deflate");
    await eventually(() => hub.group("a").size === 1);
    hub.group("a").broadcast("text");
    hub.group("a").broadcast(Buffer.from([1]));
    expect([await peer.next(), await peer.next()]).toEqual(["text", Buffer.from([1])]);
  });

  it("reaches the processes that share a backend, once each, and hears nothing once it is empty", async () => {
    const { of, subscribed } = sharedBackend();
    const [one, two] = [await serve({ backend: of() }), await serve({ backend: of() })];
    for (const { hub } of [one, two]) listening(hub);
    const peers = [await connect(`ws://127.0.0.1:${one.port}/g/a`), await connect(`ws://127.0.0.1:${two.port}/g/a`)];
    await eventually(() => one.hub.group("a").size + two.hub.group("a").size === 2 && subscribed.size === 2);
    one.hub.group("a").broadcast("from one");
    one.hub.group("a").broadcast(Buffer.from([7]));
    two.hub.group("a").broadcast("end");
    for (const peer of peers) {
      const got = [await peer.next(), await peer.next(), await peer.next()];
      expect(got).toEqual(["from one", Buffer.from([7]), "end"]);
      peer.socket.terminate();
    }
    await eventually(() => subscribed.size === 0);
  });

  it("hears the other processes once the backend is back, where it was away when the group began", async () => {
    const { of, subscribed } = sharedBackend();
    const [backend, other] = [of(), await serve({ backend: of() })];
    const { subscribe } = backend;
    let refused = 0;
    backend.subscribe = (room, listener) =>
      refused++ === 0 ? Promise.reject(new BackendUnavailable("away")) : subscribe(room, listener);
    const { hub, port, logged } = await serve({ backend });
    listening(hub);
    const peer = await connect(`ws://127.0.0.1:${port}/g/a`);
    await eventually(() => subscribed.size === 1);
    other.hub.group("a").broadcast("from the other");
    expect(await peer.next()).toBe("from the other");
    expect(logged.filter((line) => line.startsWith("error"))).toHaveLength(1);
  });

  it("passes on nothing that is no broadcast, whoever put it on the bus", async () => {
    const { of, subscribed } = sharedBackend();
    const backend = of();
    const { hub, port } = await serve({ backend });
    listening(hub);
    const peer = await connect(`ws://127.0.0.1:${port}/g/a`);
    await eventually(() => subscribed.size === 1);
    const relay = (text: string): Promise<void> =>
      backend.relay({ name: "\u0001a", keep: { messages: 0, ms: 0 } }, text);
    for (const text of ["", "null", "[]", '{"text":"x"}', '{"node":"n"}', '{"node":"n","text":5}']) await relay(text);
    await relay('{"node":"n","bytes":[]}');
    await relay('{"node":"n","text":"good"}');
    expect(await peer.next()).toBe("good");
  });

  it("has a name as rooms have, and a socket is in as many as its limit", async () => {
    const { hub, port } = await serve({ limits: { rooms: 2 } });
    expect(() => hub.group("a\nb")).toThrow(TypeError);
    expect(() => hub.group("")).toThrow(TypeError);
    hub.endpoint("/many", ({ socket }) => {
      for (const name of ["a", "b", "c"]) hub.group(name).join(socket);
    });
    expect((await (await connect(`ws://127.0.0.1:${port}/many`)).closed()).code).toBe(1011);
    await eventually(() => hub.groups().length === 0);
  });
});
