import * as v from "valibot";
import { describe, expect, it } from "vitest";
import type { Receive } from "../../src/server/endpoints/options.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect, type Plain } from "./plain.ts";

const Said = v.object({ text: v.pipe(v.string(), v.trim(), v.maxLength(5)) });

async function peerOf(receive: Receive, tell: boolean): Promise<Plain> {
  const { hub, port } = await serve();
  const invalid = { invalid: (problem: object, socket: { send(data: object): boolean }) => void socket.send(problem) };
  hub.endpoint("/m", { receive, ...(tell && invalid) }, async ({ socket }) => {
    for await (const message of socket) socket.send(message instanceof Uint8Array ? message : { got: message });
  });
  return connect(`ws://127.0.0.1:${port}/m`);
}

describe("messages", () => {
  it.each<[Receive, string | Buffer, unknown]>([
    ["any", "hi", { got: "hi" }],
    ["any", Buffer.from([1, 2]), Buffer.from([1, 2])],
    ["text", '{"a":1}', { got: '{"a":1}' }],
    ["binary", Buffer.alloc(60_000, 7), Buffer.alloc(60_000, 7)],
    ["json", '[1,{"a":null}]', { got: [1, { a: null }] }],
    [Said, '{"text":" hi "}', { got: { text: "hi" } }],
  ])("are what the endpoint takes (%o)", async (receive, sent, got) => {
    const peer = await peerOf(receive, false);
    peer.send(sent);
    expect(await peer.next()).toEqual(got);
  });

  it.each<[Receive, string | Buffer, number, string]>([
    ["text", Buffer.from("x"), 1003, "kind"],
    ["binary", "x", 1003, "kind"],
    ["json", Buffer.from("{}"), 1003, "kind"],
    ["json", "{", 1007, "json"],
    ["json", "", 1007, "json"],
    ["json", "[".repeat(50) + "]".repeat(50), 1007, "json"],
    [Said, '{"text":"too long"}', 1008, "schema"],
    [Said, "null", 1008, "schema"],
  ])("that are not so (%o, %s) close with %i, or are told to the app as %s", async (receive, sent, code, fault) => {
    const silent = await peerOf(receive, false);
    silent.send(sent);
    expect((await silent.closed()).code).toBe(code);
    const told = await peerOf(receive, true);
    told.send(sent);
    expect(await told.next()).toMatchObject({ fault });
    expect(told.socket.readyState).toBe(told.socket.OPEN);
  });

  it("are typed by the schema", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/m", { receive: Said }, async ({ socket }) => {
      for await (const { text } of socket) {
        const upper: string = text.toUpperCase();
        socket.send(upper);
      }
    });
    const peer = await connect(`ws://127.0.0.1:${port}/m`);
    peer.send({ text: "hi" });
    expect(await peer.next()).toBe("HI");
  });

  it("that do not fit can be dealt with at leisure: the next one waits, and what fails there fails the handler", async () => {
    const { hub, port, logged } = await serve();
    const invalid = async ({ fault }: { fault: string }, socket: { send(data: string): boolean }): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (fault === "kind") throw new Error("the app's own");
      socket.send("told");
    };
    hub.endpoint("/m", { receive: "json", invalid }, async ({ socket }) => {
      for await (const message of socket) socket.send({ message });
    });
    const peer = await connect(`ws://127.0.0.1:${port}/m`);
    for (const message of ["{", "1", Buffer.from("1")]) peer.send(message);
    expect([await peer.next(), await peer.next()]).toEqual(["told", { message: 1 }]);
    expect((await peer.closed()).code).toBe(1011);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual(["error a handler failed"]);
  });

  it("of bytes go out as bytes, in whatever they stand; a group's are those of the moment", async () => {
    const { hub, port } = await serve();
    const words = new Uint16Array([1, 2, 3]).subarray(1);
    hub.endpoint("/out", ({ socket }) => {
      const group = hub.group("out");
      group.join(socket);
      for (const bytes of [words, words.buffer, new DataView(words.buffer, 2, 1)]) {
        socket.send(bytes);
        group.broadcast(bytes);
      }
      words[0] = 9;
    });
    const peer = await connect(`ws://127.0.0.1:${port}/out`);
    for (const bytes of [[2, 0, 3, 0], [1, 0, 2, 0, 3, 0], [2]]) {
      expect([await peer.next(), await peer.next()]).toEqual([Buffer.from(bytes), Buffer.from(bytes)]);
    }
  });

  it("come in order, one at a time, however slow the app is, and none is lost where reading stops", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/m", { messagesPerS: 10_000 }, async ({ socket }) => {
      for await (const message of socket) {
        await new Promise((resolve) => setImmediate(resolve));
        socket.send(message);
      }
    });
    const peer = await connect(`ws://127.0.0.1:${port}/m`);
    const sent = Array.from({ length: 1_000 }, (_, i) => `message ${i}`);
    for (const message of sent) peer.send(message);
    const got: unknown[] = [];
    while (got.length < sent.length) got.push(await peer.next());
    expect(got).toEqual(sent);
  });

  it("can be awaited for a while; what comes later is the next one's", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/m", async ({ socket }) => {
      socket.send({ first: (await socket.next({ withinMs: 1 })) ?? null, isOpen: socket.isOpen });
      socket.send({ second: await socket.next({ withinMs: 5_000 }) });
      expect(await socket.next()).toBeUndefined();
      expect(socket.isOpen).toBe(false);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/m`);
    expect(await peer.next()).toEqual({ first: null, isOpen: true });
    peer.send("hi");
    expect(await peer.next()).toEqual({ second: "hi" });
    peer.socket.close();
    await eventually(() => hub.counts().connections === 0);
  });

  it("larger than the endpoint takes close with 1009", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/m", { messageBytes: 10 }, async ({ socket }) => {
      for await (const message of socket) socket.send(message);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/m`);
    peer.send("0123456789");
    expect(await peer.next()).toBe("0123456789");
    peer.send("0123456789x");
    expect((await peer.closed()).code).toBe(1009);
  });
});
