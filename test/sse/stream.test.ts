import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { eventually, serve } from "../server/support/hub.ts";
import { ask, listen, member, refusal, streamPath } from "./support/reader.ts";

describe("a stream", () => {
  it("begins with its headers, retry, welcome and a joined for each room, in the order asked", async () => {
    const { port } = await serve();
    const reader = await ask(port, ["b", "a"], { token: "ann" });
    expect(reader.status).toBe(200);
    expect(reader.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    expect(reader.headers).not.toHaveProperty("content-encoding");
    const welcome = await reader.expect({ type: "welcome", v: 1, user: "ann", connection: "$string" });
    expect(welcome.retryMs).toBeGreaterThanOrEqual(1_000);
    await reader.expect({ type: "joined", room: "b", replay: 0, recovered: "$absent", presence: "$absent" });
    await reader.expect({ type: "joined", room: "a" });
  });

  it("gets the very frames that a member over the WebSocket gets", async () => {
    const { port, hub, member: join } = await serve();
    const socket = await join("bob", "a");
    const reader = await member(port, ["a"], { token: "ann" });
    await hub.room("a").publish("said", { text: "line\nbreak\r\u2028 and \ud800" }, { from: "bob", key: "k" });
    socket.send({ type: "publish", room: "a", event: "said", data: null });
    await socket.expect({ type: "message", offset: 1 });
    await socket.expect({ type: "message", offset: 2 });
    await reader.expect({ type: "message", offset: 1 });
    await reader.expect({ type: "message", offset: 2 });
    const data = reader.text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [line.slice(6)] : []));
    expect(data.slice(-2)).toEqual(socket.log.slice(-2));
  });

  it("gets signals, and those that the server sends to it alone", async () => {
    const { port, hub, member: join } = await serve();
    const socket = await join("bob", "a");
    const reader = await ask(port, ["a"], { token: "ann" });
    const { frame } = await reader.expect({ type: "welcome" });
    const { id } = await reader.expect({ type: "joined" });
    socket.send({ type: "signal", room: "a", event: "typing", data: 1 });
    expect((await reader.expect({ type: "signal", room: "a", from: "bob" })).id).toBe(id);
    hub.connection(String(frame["connection"]))?.signal("hint", 2);
    await reader.expect({ type: "signal", room: "$absent", event: "hint", data: 2 });
  });

  it("gets skip where the server leaves it out", async () => {
    const { port, hub } = await serve();
    const reader = await ask(port, ["a"], { token: "ann" });
    const { frame } = await reader.expect({ type: "welcome" });
    await reader.expect({ type: "joined" });
    await hub.room("a").publish("e", 1, { except: String(frame["connection"]) });
    const skip = await reader.expect({ type: "skip", room: "a", offset: 1 });
    expect(skip.id).toMatch(/\.1$/);
  });

  it("is a member of its rooms, and gone after the grace", async () => {
    const { port, hub, member: join } = await serve({ limits: { graceMs: 50 } });
    const watcher = await join("bob", "a", { presence: true });
    const reader = await member(port, ["a"], { token: "ann" });
    await watcher.expect({ type: "presence", joined: [{ user: "ann", data: null }], members: 2 });
    expect(hub.user("ann").here.connections).toHaveLength(1);
    expect(hub.counts().connections).toBe(2);
    reader.destroy();
    await watcher.expect({ type: "presence", left: [{ user: "ann" }], members: 1 });
    expect(hub.counts().connections).toBe(1);
    expect(hub.user("ann").here.connections).toEqual([]);
  });

  it("joins a room that is asked for twice once", async () => {
    const { port, hub } = await serve();
    const reader = await listen(port, ["a", "a"], { token: "ann" });
    await reader.expect({ type: "joined", room: "a" });
    await hub.room("a").publish("e", 1);
    await reader.expect({ type: "message", offset: 1 });
  });

  it("has no cursor in a room without a log", async () => {
    const { port, hub } = await serve({ rooms: { live: { keep: false, events: {} }, kept: {} } });
    const reader = await listen(port, ["live", "kept"], { token: "ann" });
    const [live, kept] = [await reader.nextEvent(), await reader.nextEvent()];
    expect(live).toMatchObject({ id: "1", frame: { room: "live", kept: false } });
    expect(kept.id).toMatch(/^1~[\w-]{12}\.[\w-]+\.0$/);
    expect((await hub.rooms()).rooms).toHaveLength(2);
  });

  it("is told to a client of HTTP/1.0, too, and ends with its connection", async () => {
    const { port, hub } = await serve();
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET ${streamPath(["a"], { token: "ann" })} HTTP/1.0\r\n\r\n`);
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => (text += part));
    await eventually(() => text.includes('"joined"'));
    expect(text).not.toMatch(/transfer-encoding/i);
    await hub.user("ann").disconnect();
    await once(socket, "close");
    expect(text).toContain('data: {"type":"closed","code":4003');
  });

  it("ends where its peer closes its own side", async () => {
    const { port, hub } = await serve({ limits: { graceMs: 0 } });
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET ${streamPath(["a"], { token: "ann" })} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await once(socket, "data");
    await eventually(() => hub.counts().rooms === 1);
    socket.resume().end();
    await once(socket, "close");
    await eventually(() => hub.counts().connections === 0);
    expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
  });

  it("is opened with GET alone", async () => {
    const { port } = await serve();
    const url = `http://127.0.0.1:${port}${streamPath(["a"], { token: "ann" })}`;
    const post = await fetch(url, { method: "POST", body: "x" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET"]);
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([405, ""]);
  });

  it("cannot be pipelined behind an answer that still comes", async () => {
    const { hub, port } = await serve();
    const socket = connect(port, "127.0.0.1");
    const get = `GET ${streamPath(["a"], { token: "ann" })} HTTP/1.1\r\nHost: a\r\n\r\n`;
    socket.write(get + get);
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => (text += part));
    await eventually(() => text.includes('"joined"'));
    await hub.room("a").publish("e", 1);
    await eventually(() => text.includes('"message"'));
    expect(text.match(/HTTP\/1.1 200|"welcome"/g)).toEqual(["HTTP/1.1 200", '"welcome"']);
    expect(hub.counts().connections).toBe(1);
    socket.destroy();
  });

  it("has a path of its own, or none", async () => {
    const elsewhere = await serve({ ssePath: "/events" });
    await listen(elsewhere.port, ["a"], { token: "ann", path: "/events" });
    expect(await refusal(elsewhere.port, ["a"], { token: "ann" })).toMatchObject({ status: 404 });
    const nowhere = await serve({ ssePath: false });
    expect(await refusal(nowhere.port, ["a"], { token: "ann" })).toMatchObject({ status: 404 });
  });
});
