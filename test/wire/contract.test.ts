import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connect, connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

const config = fileURLToPath(new URL("../support/fixtures/contract.config.mjs", import.meta.url));

let server: TestServer;
let ann: Peer;
let room = "";
let rooms = 0;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--config", config])));
afterAll(() => endServer(server));
beforeEach(async () => {
  room = `chat/${++rooms}`;
  ann = await connectAs(server, "ann");
  return () => ann.destroy();
});

async function join(peer: Peer, name: string = room, fields: JsonObject = {}): Promise<JsonObject> {
  peer.send({ type: "join", room: name, ...fields });
  return peer.expect({ type: "joined", room: name });
}

describe("a contract is held to (P-60)", () => {
  it("rooms and events that it does not know are told, after rights", async () => {
    ann.send({ type: "join", id: "1", room: "elsewhere" });
    await ann.expect({ type: "error", re: "1", room: "elsewhere", code: "unknown_room" });
    const bob = await connectAs(server, "bob", { rooms: ["chat/*"] });
    bob.send({ type: "join", id: "1", room: "elsewhere" });
    await bob.expect({ type: "error", re: "1", code: "forbidden" });
    ann.send({ type: "publish", id: "2", room, event: "unheard", data: 1 });
    await ann.expect({ type: "error", re: "2", code: "not_joined" });
    await join(ann);
    ann.send({ type: "publish", id: "3", room, event: "unheard", data: 1 });
    await ann.expect({ type: "error", re: "3", room, code: "unknown_event" });
    ann.send({ type: "publish", id: "4", room, event: "toString", data: 1 });
    await ann.expect({ type: "error", re: "4", code: "unknown_event" });
    ann.send({ type: "signal", id: "5", room, event: "said", data: { text: "" } });
    await ann.expect({ type: "error", re: "5", code: "unknown_event" });
    bob.destroy();
  });

  it("data that does not fit is invalid_data with issues, and nothing is kept", async () => {
    await join(ann);
    ann.send({ type: "publish", id: "1", room, event: "said", data: { text: 1 } });
    await ann.expect({
      type: "error",
      re: "1",
      room,
      code: "invalid_data",
      issues: [{ message: "must be a string", path: ["text"] }],
    });
    ann.send({ type: "signal", id: "2", room, event: "typing", data: 1 });
    await ann.expect({ type: "error", re: "2", code: "invalid_data", issues: [{ path: ["text"] }] });
    ann.send({ type: "presence", id: "3", room, data: {} });
    await ann.expect({ type: "error", re: "3", code: "invalid_data" });
    ann.send({ type: "join", id: "4", room, data: {} });
    await ann.expect({ type: "error", re: "4", code: "invalid_data" });
    ann.send({
      type: "publish",
      id: "5",
      room,
      event: "said",
      data: { text: "fits", more: "is left out by the schema" },
    });
    await ann.expectAll([
      { type: "ack", re: "5", offset: 1 },
      { type: "message", offset: 1, data: { text: "fits", more: "$absent" } },
    ]);
  });

  it("where only the server publishes, a member may not", async () => {
    const joined = await join(ann, "news/1");
    expect(joined["rights"]).not.toContain("publish");
    ann.send({ type: "publish", id: "1", room: "news/1", event: "n" });
    await ann.expect({ type: "error", re: "1", code: "forbidden" });
  });
});

describe("a handler", () => {
  it("that fails costs that request only and tells nothing of itself", async () => {
    await join(ann);
    ann.send({ type: "publish", id: "1", room, event: "fails" });
    const error = await ann.expect({ type: "error", re: "1", room, code: "internal" });
    expect(JSON.stringify(error)).not.toContain("secret");
    ann.send({ type: "join", id: "2", room: "closed/1" });
    await ann.expect({ type: "error", re: "2", room: "closed/1", code: "internal" });
    ann.send({ type: "publish", id: "3", room, event: "said", data: { text: "on" } });
    await ann.expectAll([
      { type: "ack", re: "3", offset: 1 },
      { type: "message", offset: 1 },
    ]);
  });

  it("can refuse, change and answer", async () => {
    await join(ann);
    ann.send({ type: "publish", id: "1", room, event: "refused" });
    await ann.expect({ type: "error", re: "1", room, code: "forbidden", message: "not today" });
    ann.send({ type: "publish", id: "2", room, event: "changed", data: 7 });
    await ann.expectAll([
      { type: "ack", re: "2", offset: 1, result: { seen: true } },
      { type: "message", offset: 1, data: { was: 7, by: "ann" } },
    ]);
  });

  it("does not run again for a repeated key, and its first result is told (P-31)", async () => {
    await join(ann);
    const publish = (id: string): void =>
      ann.send({ type: "publish", id, key: "k", room, event: "counted", data: 1, echo: false });
    publish("1");
    let first: JsonObject | undefined;
    for (let i = 0; i < 2; i++) {
      const frame = await ann.next();
      if (frame["type"] === "ack") first = frame;
    }
    publish("2");
    await ann.expect({ type: "ack", re: "2", offset: 1, duplicate: true, result: first?.["result"] ?? "none" });
    publish("3");
    await ann.expect({ type: "ack", re: "3", duplicate: true, result: first?.["result"] ?? "none" });
  });

  it("that is slow keeps its own room's requests waiting, in order, and nothing else (P-6)", async () => {
    await join(ann);
    await join(ann, `${room}0`);
    ann.send({ type: "publish", id: "1", room, event: "slow", data: 300, echo: false });
    ann.send({ type: "publish", id: "2", room, event: "said", data: { text: "after" }, echo: false });
    ann.send({ type: "leave", id: "3", room });
    ann.send({ type: "publish", id: "4", room: `${room}0`, event: "said", data: { text: "elsewhere" }, echo: false });
    ann.send({ type: "ping", id: "5" });
    const order: unknown[] = [];
    while (order.length < 5) {
      const frame = await ann.next();
      if (frame["re"] !== undefined) order.push(frame["re"]);
    }
    expect(new Set(order.slice(0, 2))).toEqual(new Set(["4", "5"]));
    expect(order.slice(2)).toEqual(["1", "2", "3"]);
  });

  it("that is slow does not stop others in the room", async () => {
    const bob = await connectAs(server, "bob");
    await join(ann);
    await join(bob);
    ann.send({ type: "publish", id: "1", room, event: "slow", data: 500 });
    await ann.settled();
    bob.send({ type: "publish", id: "1", room, event: "said", data: { text: "b" } });
    await ann.expect({ type: "message", offset: 1, from: "bob" });
    await ann.expectAll([
      { type: "ack", re: "1", offset: 2 },
      { type: "message", offset: 2, from: "ann" },
    ]);
    bob.destroy();
  });

  it("whose publisher goes away meanwhile ends quietly", async () => {
    await join(ann);
    const bob = await connectAs(server, "bob");
    await join(bob);
    bob.send({ type: "publish", room, event: "slow", data: 100 });
    await bob.settled();
    bob.destroy();
    const frames = await ann.expect({ type: "message", offset: 1, from: "bob" });
    expect(frames["event"]).toBe("slow");
  });
});

describe("a join that is under way when its rights end (P-17)", () => {
  it("does not leave the connection in the room", async () => {
    const name = `slow/${room.slice(5)}`;
    const bob = await connectAs(server, "bob");
    await join(bob, name);
    ann.send({ type: "join", id: "1", room: name });
    ann.send({ type: "auth", id: "2", token: makeToken({ sub: "ann", rooms: ["chat/*"] }) });
    await ann.expect({ type: "authed", re: "2" });
    // What follows in this room is answered after the join, however that ended.
    ann.send({ type: "publish", id: "3", room: name, event: "e" });
    await ann.until({ re: "3", type: "error", code: "forbidden" });
    bob.send({ type: "publish", room: name, event: "e" });
    await bob.expect({ type: "message" });
    expect(await ann.settled()).toEqual([]);
    bob.destroy();
  });
});

describe("a room without a log (P-21)", () => {
  it("has no cursor, no offsets and no resume", async () => {
    const name = `live/${room.slice(5)}`;
    ann.send({ type: "join", room: name });
    await ann.expect({ type: "joined", room: name, kept: false, cursor: "$absent", replay: 0, recovered: "$absent" });
    ann.send({ type: "publish", id: "1", room: name, event: "e", data: 1 });
    await ann.expectAll([
      { type: "ack", re: "1", room: name, offset: "$absent", cursor: "$absent" },
      { type: "message", room: name, event: "e", data: 1, offset: "$absent", from: "ann" },
    ]);
    ann.send({ type: "join", room: name, since: "e:0" });
    await ann.expect({ type: "joined", kept: false, recovered: false, replay: 0 });
  });
});

describe("the operator", () => {
  let operator: Peer;
  beforeEach(async () => {
    operator = await connectAs(server, "operator");
    await join(operator, "operator");
    return () => operator.destroy();
  });
  const act = async (event: string, data: JsonObject | string): Promise<void> => {
    operator.send({ type: "publish", id: event, room: "operator", event, data, echo: false });
    await operator.until({ type: "ack", re: event });
  };

  it("disconnects a user with 4003, who is gone at once (P-41, P-61)", async () => {
    const bob = await connectAs(server, "bob");
    await join(ann, room, { presence: true });
    await join(bob);
    await ann.expect({ type: "presence", joined: [{ user: "bob" }] });
    await act("disconnect", "bob");
    await bob.expectClose(4003);
    await ann.expect({ type: "presence", left: [{ user: "bob" }], members: 1 });
  });

  it("takes a user out of a room: left is its last frame there (P-26)", async () => {
    const bob = await connectAs(server, "bob");
    await join(ann, room, { presence: true });
    await join(bob);
    await ann.expect({ type: "presence", joined: [{ user: "bob" }] });
    await act("remove", { room, user: "bob" });
    await bob.expect({ type: "left", re: "$absent", room, reason: "removed" });
    await ann.expect({ type: "presence", left: [{ user: "bob" }] });
    ann.send({ type: "publish", room, event: "said", data: { text: "x" } });
    await ann.expect({ type: "message" });
    expect(await bob.settled()).toEqual([]);
    bob.destroy();
  });

  it("reaches all devices of a user through the personal room (P-20)", async () => {
    const other = await connectAs(server, "ann");
    await join(ann, "@ann");
    await join(other, "@ann");
    await act("tell", { user: "ann", text: "hello" });
    await ann.expect({ type: "message", room: "@ann", event: "told", data: "hello", from: "$absent" });
    await other.expect({ type: "message", room: "@ann", event: "told", data: "hello", from: "$absent" });
    other.destroy();
  });

  it("publishes to all but one, who gets skip (P-38), and signals to one connection alone (P-34)", async () => {
    const bob = await connect(server, { query: { token: makeToken({ sub: "bob", rooms: ["**"] }) } });
    const { connection } = await bob.expect({ type: "welcome", connection: "$string" });
    await join(ann, "news/2");
    await join(bob, "news/2");
    await act("publish", { room: "news/2", text: "x", except: connection! });
    await ann.expect({ type: "message", room: "news/2", event: "n", data: "x", from: "$absent" });
    await bob.expect({ type: "skip", room: "news/2", offset: 1 });
    await act("signal", { connection: connection!, text: "psst" });
    await bob.expect({ type: "signal", room: "$absent", event: "hint", data: "psst", at: "$integer" });
    expect(await ann.settled()).toEqual([]);
    bob.destroy();
  });
});
