import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { frameBytes, rawConnect, upgradeText, type RawPeer } from "../support/raw.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connect, connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

let server: TestServer;
let witness: Witness;
let peer: Peer;
let room = "";
let rooms = 0;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--limit", "grace_ms=0"])));
afterAll(() => endServer(server));
beforeEach(async () => {
  witness = await Witness.of(server);
  peer = await connectAs(server, "ann");
  room = `room-${++rooms}`;
});
afterEach(async () => {
  peer.destroy();
  await witness.sees();
  witness.end();
});

async function join(fields: JsonObject = {}): Promise<JsonObject> {
  peer.send({ type: "join", room, ...fields });
  return peer.expect({ type: "joined", room });
}

describe("what is no frame", () => {
  it.each(["hello", "null", "[]", "1", '"x"', "", "{", '{"type":"ping"}}'])(
    "%j is a bad_frame, and ten close with 4000",
    async (text) => {
      for (let i = 0; i < 9; i++) {
        peer.text(text);
        await peer.expect({ type: "error", code: "bad_frame" });
      }
      peer.text(text);
      await peer.expectClose(4000);
    },
  );

  it("8 kB of [ are too deep", async () => {
    peer.text("[".repeat(8_192));
    await peer.expect({ type: "error", code: "too_deep" });
    peer.text(`{"type":"publish","room":"x","event":"e","data":${"[".repeat(4_096)}${"]".repeat(4_096)}}`);
    await peer.expect({ type: "error", code: "too_deep" });
  });
});

describe("data comes back as it went in, live and from the log", () => {
  it.each([
    String.raw`{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":1,"hasOwnProperty":2}`,
    String.raw`"\ud800"`,
    String.raw`["\udc00\ud800",{"\udfff":"\ud83d"}]`,
    String.raw`"\u0000\u001b[2J\u2028\u007f"`,
    String.raw`{"a":1e21,"b":-0.5,"c":1e-7,"d":9007199254740993}`,
    `${"[".repeat(31)}${"]".repeat(31)}`,
    '"</script><img src=x onerror=alert(1)>"',
  ])("%s", async (data) => {
    const joined = await join();
    peer.text(`{"type":"publish","room":${JSON.stringify(room)},"event":"e","data":${data}}`);
    const live = await peer.expect({ type: "message", offset: 1 });
    expect(live["data"]).toEqual(JSON.parse(data));
    expect(Object.keys(live["data"] as object)).toEqual(Object.keys(JSON.parse(data) as object));
    const liveText = peer.log.at(-1);
    peer.send({ type: "join", room, since: joined["cursor"]! });
    await peer.expect({ type: "joined", replay: 1 });
    await peer.expect({ type: "message", offset: 1 });
    expect(peer.log.at(-1)).toBe(liveText);
    peer.send({ type: "history", id: "h", room, limit: 1 });
    const page = await peer.expect({ type: "history" });
    expect((page["messages"] as JsonObject[])[0]!["data"]).toEqual(JSON.parse(data));
  });
});

describe("names", () => {
  it.each([
    ["", "bad_field"],
    ["x".repeat(256), "bad_field"],
    ["a\u0000", "bad_field"],
    ["a\u001b[2J", "bad_field"],
    [" a", "bad_field"],
    ["e\u0301", "bad_field"],
    ["\ud800", "bad_field"],
    ["$x", "forbidden"],
    ["@other", "forbidden"],
    ["@", "forbidden"],
  ])("joining %j is %s", async (name, code) => {
    peer.send({ type: "join", id: "1", room: name });
    await peer.expect({ type: "error", re: "1", code });
  });

  it.each([
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "<img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "%1b[2J%0d%0a",
  ])("%s is a plain room, user, event, key and id", async (name) => {
    const other = await connectAs(server, name);
    other.send({ type: "join", id: name, room: name, presence: true, data: { [name]: 1 } });
    await other.expect({ type: "joined", re: name, room: name, members: 1, presence: [{ user: name }] });
    other.send({ type: "publish", id: name, key: name, room: name, event: name });
    await other.expectAll([
      { type: "ack", re: name, offset: 1 },
      { type: "message", event: name, from: name, key: name },
    ]);
    other.send({ type: "publish", id: name, key: name, room: name, event: name });
    await other.expect({ type: "ack", re: name, offset: 1, duplicate: true });
    await other.close();
  });
});

describe("numbers", () => {
  it.each(["9007199254740993", "-1", "1.5", '"1"', "1e400", "0", "null", "[]", "true"])(
    "before: %s is a bad_field",
    async (before) => {
      await join();
      peer.text(`{"type":"history","id":"1","room":"${room}","limit":1,"before":${before}}`);
      await peer.expect({ type: "error", re: "1", code: "bad_field" });
    },
  );

  it.each(["a:9007199254740993", "a:-1", "a:1.5", "a", ":1", "a:1e3", ""])(
    "since: %j is a bad_field",
    async (since) => {
      peer.send({ type: "join", id: "1", room, since });
      await peer.expect({ type: "error", re: "1", room, code: "bad_field" });
      expect(await peer.settled()).toEqual([]);
    },
  );

  it("a limit of 1e9 is clamped, and a history of 1e9 is what is kept", async () => {
    peer.send({ type: "history", id: "1", room, limit: 1e9 });
    await peer.expect({ type: "history", re: "1", messages: [] });
    await join({ history: 1e9 });
  });
});

describe("before authentication", () => {
  it.each([
    { type: "ping" },
    { type: "pong" },
    { type: "join", room: "a" },
    { type: "auth" },
    { type: "auth", token: 1 },
    { type: "auth", token: "" },
    { type: "dance" },
  ])("%j closes with 4001", async (frame) => {
    const stranger = await connect(server);
    await stranger.expect({ type: "auth_required" });
    stranger.send(frame);
    await stranger.expect({ type: "error", code: "unauthorized" });
    await stranger.expectClose(4001);
  });

  /** In one write: two could be read one after the other, and then what follows comes after `welcome`. */
  async function saysAtOnce(frames: readonly JsonObject[]): Promise<RawPeer> {
    const stranger = await rawConnect(server);
    stranger.write(upgradeText(server, { path: "/ws?auth=first" }));
    expect((await stranger.head()).status).toBe(101);
    expect(await stranger.nextJson()).toMatchObject({ type: "auth_required" });
    stranger.write(Buffer.concat(frames.map((frame) => frameBytes(JSON.stringify(frame)))));
    return stranger;
  }

  it("a second auth before welcome closes with 4001", async () => {
    const auth = { type: "auth", token: makeToken({ sub: "ann" }) };
    const stranger = await saysAtOnce([auth, auth]);
    expect(await stranger.nextJson()).toMatchObject({ type: "error", code: "unauthorized" });
    expect(await stranger.closeCode()).toBe(4001);
    stranger.destroy();
  });

  it("what came together with the first auth takes effect after it", async () => {
    const stranger = await saysAtOnce([
      { type: "auth", token: makeToken({ sub: "ann", rooms: ["**"] }) },
      { type: "join", id: "1", room },
      { type: "ping", id: "2" },
    ]);
    expect(await stranger.nextJson()).toMatchObject({ type: "welcome", user: "ann" });
    const answers = [await stranger.nextJson(), await stranger.nextJson()];
    expect(new Set(answers.map(({ re }) => re))).toEqual(new Set(["1", "2"]));
    stranger.destroy();
  });

  it("what follows a bad token is not read", async () => {
    const stranger = await connect(server);
    await stranger.expect({ type: "auth_required" });
    stranger.send({ type: "auth", token: "nonsense" });
    stranger.send({ type: "auth", token: makeToken({ sub: "ann", rooms: ["**"] }) });
    stranger.send({ type: "join", room });
    await stranger.expect({ type: "error", code: "unauthorized" });
    await stranger.expectClose(4001);
    expect(stranger.pending()).toEqual([]);
  });

  it("auth as another user closes with 4001", async () => {
    await join();
    peer.send({ type: "auth", token: makeToken({ sub: "bob", rooms: ["**"] }) });
    await peer.expectClose(4001);
  });
});

describe("too much", () => {
  it("joining 101 rooms: too_many_rooms", async () => {
    for (let i = 0; i < 100; i++) peer.send({ type: "join", id: String(i), room: `${room}/${i}` });
    for (let i = 0; i < 100; i++) await peer.expect({ type: "joined", re: "$string" });
    peer.send({ type: "join", id: "100", room: `${room}/100` });
    await peer.expect({ type: "error", re: "100", code: "too_many_rooms" });
  });

  it("100,000 joins in a second: rate_limited, then 4301", { timeout: 60_000 }, async () => {
    for (let i = 0; i < 100_000; i++) peer.text(`{"type":"join","room":"${room}/${i % 1_000}"}`);
    await peer.until({ type: "error", code: "rate_limited", retry_after_ms: "$integer" });
    await peer.expectClose(4301, 30_000);
  });

  it("a connection that keeps on for 10 s: 4301", { timeout: 60_000 }, async () => {
    const asking = setInterval(() => {
      for (let i = 0; i < 10; i++) peer.send({ type: "ping" });
    }, 25);
    await peer.expectClose(4301, 20_000).finally(() => clearInterval(asking));
  });

  it("presence data of 1 MB closes with 1009", async () => {
    await join({ presence: true });
    peer.send({ type: "presence", room, data: "x".repeat(1_048_576) });
    await peer.expectClose(1009);
  });

  it("publishing into a room not joined, or not allowed, or again with another body", async () => {
    peer.send({ type: "publish", id: "1", room, event: "e" });
    await peer.expect({ type: "error", re: "1", code: "not_joined" });
    peer.send({ type: "publish", id: "2", room: "@bob", event: "e" });
    await peer.expect({ type: "error", re: "2", code: "forbidden" });
    await join();
    peer.send({ type: "publish", id: "3", key: "k", room, event: "e", data: 1 });
    await peer.expectAll([{ type: "ack", re: "3" }, { type: "message" }]);
    peer.send({ type: "publish", id: "4", key: "k", room, event: "e", data: 2 });
    await peer.expect({ type: "error", re: "4", code: "conflict" });
  });
});
