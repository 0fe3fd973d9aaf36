import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { readServerFrame } from "../../src/client/read.ts";
import { message, settle, welcomeFrame, World } from "./support/harness.ts";

describe("frames that are none", () => {
  it.each([
    "",
    "hello",
    "null",
    "1",
    '"x"',
    "[]",
    "{}",
    '{"type":null}',
    '{"type":"message","room":"r","event":5,"data":1,"at":1}',
    '{"type":"message","room":"r","event":"e","data":1,"at":1,"offset":-1}',
    '{"type":"message","room":"r","event":"e","data":1,"at":1,"offset":1.5}',
    '{"type":"message","room":"r","event":"e","data":1,"at":1,"offset":9007199254740993}',
    '{"type":"message","room":"r","event":"e","data":1,"at":1,"offset":"1"}',
    '{"type":"joined","room":"r","cursor":"e:1","replay":0,"members":1}',
    '{"type":"joined","room":"r","cursor":"e:1","replay":0,"members":1,"rights":"all"}',
    '{"type":"presence","room":"r","joined":[null],"members":1}',
    '{"type":"presence","room":"r","joined":{"length":1},"members":1}',
    '{"type":"history","re":"1","messages":[{"offset":1}],"cursor":"e:1","more":false}',
    '{"type":"welcome","connection":"c","user":"u","ping_ms":1,"limits":{"rooms":1}}',
    '{"type":"welcome","connection":"c","user":"u","ping_ms":1}',
    '{"type":"drain","retry_after_ms":"soon"}',
  ])("%s is told as an error, and changes nothing", async (text) => {
    const world = new World();
    const room = world.client.join("r");
    const socket = await world.online();
    await world.admit("r");
    const told = vi.fn();
    for (const event of ["message", "presence", "joined", "gap", "reset", "left"] as const) room.on(event, told);
    socket.says(text);
    expect(told).not.toHaveBeenCalled();
    expect(world.errors.length).toBeLessThanOrEqual(1);
    expect(readServerFrame(text)?.type === "message").toBe(false);
    socket.says(message("r", 1));
    expect(told).toHaveBeenCalledTimes(1);
    expect(room.cursor).toBe("e:1");
  });

  it("a binary frame is no frame", () => {
    expect(readServerFrame(new ArrayBuffer(8))).toBeUndefined();
    expect(readServerFrame({})).toBeUndefined();
  });
});

describe("a hostile server", () => {
  it("frames of a later version are of no concern", async () => {
    const world = new World();
    const socket = await world.online();
    for (const type of ["later", "constructor", "__proto__", "toString"]) socket.says({ type, room: "r" });
    expect(world.errors).toEqual([]);
    expect(world.client.status.state).toBe("online");
  });

  it("rooms, users and events are plain names, and nothing is polluted", async () => {
    const world = new World();
    const room = world.client.join("__proto__", { presence: true });
    const heard = vi.fn();
    room.on("message", heard);
    const socket = await world.online();
    await world.admit("__proto__", { presence: [{ user: "__proto__", data: { polluted: true } }] });
    socket.says(
      '{"type":"message","room":"__proto__","event":"constructor","data":{"__proto__":{"polluted":1}},"at":1,"offset":1}',
    );
    socket.says({ type: "presence", room: "__proto__", joined: [{ user: "constructor", data: 1 }], members: 2 });
    expect([...room.presence.keys()]).toEqual(["__proto__", "constructor"]);
    expect(heard).toHaveBeenCalledOnce();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("frames of rooms that nobody joined are not heard", async () => {
    const world = new World();
    const socket = await world.online();
    socket.says(message("elsewhere", 1), {
      type: "joined",
      room: "elsewhere",
      cursor: "e:1",
      replay: 0,
      members: 1,
      rights: [],
    });
    socket.says({ type: "left", room: "elsewhere", reason: "removed" }, { type: "skip", room: "elsewhere", offset: 1 });
    expect(world.errors).toEqual([]);
  });

  it("an answer of another kind settles nothing", async () => {
    const world = new World();
    const room = world.client.join("r");
    const socket = await world.online();
    const id = socket.ofType("join")[0]?.id;
    socket.says(
      { type: "ack", re: id, room: "r", offset: 1 },
      { type: "history", re: id, messages: [], cursor: "e:1", more: false },
    );
    expect(room.state).toBe("joining");
    await world.admit("r");
    expect(room.state).toBe("joined");
  });

  it("a gap or skip that goes back does not make the app see messages again", async () => {
    const world = new World();
    const room = world.client.join("r");
    const heard = vi.fn();
    room.on("message", heard);
    const socket = await world.online();
    await world.admit("r");
    socket.says(message("r", 5, { prev: 0 }));
    socket.says({ type: "skip", room: "r", offset: 1 }, { type: "gap", room: "r", cursor: "e:2", reason: "slow" });
    socket.says(message("r", 5), message("r", 4), message("r", 3));
    expect(heard).toHaveBeenCalledOnce();
    expect(room.cursor).toBe("e:5");
  });

  it("a second welcome changes nothing", async () => {
    const world = new World();
    const socket = await world.online();
    const { status } = world.client;
    socket.says({ ...welcomeFrame(), user: "mallory" });
    expect(world.client.status).toBe(status);
  });

  it("nothing is believed before welcome", async () => {
    const world = new World();
    const room = world.client.join("r");
    const socket = await world.connect();
    socket.says(
      { type: "joined", re: "1", room: "r", cursor: "e:1", replay: 0, members: 1, rights: [] },
      message("r", 1),
    );
    expect(room.state).toBe("joining");
  });

  it("any frame with any values does not break the client", async () => {
    const types = [
      "welcome",
      "joined",
      "left",
      "ack",
      "message",
      "skip",
      "gap",
      "history",
      "signal",
      "presence",
      "error",
      "drain",
    ];
    const fields = [
      "re",
      "room",
      "cursor",
      "offset",
      "prev",
      "event",
      "data",
      "at",
      "key",
      "from",
      "members",
      "replay",
      "rights",
    ];
    const more = [
      "joined",
      "left",
      "updated",
      "all",
      "presence",
      "messages",
      "more",
      "reason",
      "code",
      "message",
      "retry_after_ms",
    ];
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom("r", "1", "2", "e:3", "f:1", 0, 3, 1e15, [], {}, [{ user: "u" }]),
    );
    const frame = fc
      .tuple(fc.constantFrom(...types), fc.dictionary(fc.constantFrom(...fields, ...more), value, { maxKeys: 12 }))
      .map(([type, rest]) => ({ ...rest, type }));
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 30 }), async (frames) => {
        const world = new World();
        const room = world.client.join("r", { presence: true });
        const kept = room.publish("said", 1).then(
          () => "kept",
          () => "failed",
        );
        const socket = await world.online();
        await world.admit("r");
        socket.says(...frames);
        await settle();
        socket.says({ type: "ping" });
        expect(socket.sent.at(-1)).toEqual({ type: "pong" });
        expect(["joined", "left"]).toContain(room.state);
        world.client.close();
        expect(["kept", "failed"]).toContain(await kept);
        expect(world.timers.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
