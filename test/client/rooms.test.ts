import { describe, expect, it, vi } from "vitest";
import type { JoinOptions, Room, RoomEvents } from "../../src/client/index.ts";
import { failure, message, settle, World } from "./support/harness.ts";

/** All that a handle told, in order. */
function listen(room: Room): unknown[][] {
  const told: unknown[][] = [];
  const events: (keyof RoomEvents)[] = ["message", "signal", "presence", "state", "joined", "gap", "reset", "left", "error"];
  for (const event of events) room.on(event, (value) => told.push([event, value]));
  return told;
}

function names(told: unknown[][]): unknown[] {
  return told.map(([event]) => event);
}

async function inLobby(options: JoinOptions = {}, joined: Record<string, unknown> = {}) {
  const world = new World();
  const room = world.client.join("lobby", options);
  const told = listen(room);
  await world.online();
  await world.admit("lobby", joined);
  told.length = 0;
  return { world, room, told };
}

const offsets = (told: unknown[][]): unknown[] =>
  told.filter(([event]) => event === "message").map(([, value]) => (value as { offset: number }).offset);

describe("joining", () => {
  it("happens on connect, with what the app asked for", async () => {
    const world = new World();
    const room = world.client.join("lobby", { presence: true, history: 50, data: { name: "Ann" } });
    const told = listen(room);
    expect(room.state).toBe("joining");
    await world.online();
    expect(world.socket.ofType("join")).toMatchObject([{ room: "lobby", history: 50, presence: true, data: { name: "Ann" } }]);
    expect(world.socket.ofType("join")[0]).not.toHaveProperty("since");
    await world.admit("lobby", { replay: 2, cursor: "e:5", members: 3, rights: ["publish"] });
    expect(names(told).slice(0, 2)).toEqual(["state", "joined"]);
    expect(told[1]?.[1]).toMatchObject({ cursor: "e:5", replay: 2, members: 3, rights: ["publish"] });
    expect(room).toMatchObject({ state: "joined", cursor: "e:5", members: 3, rights: ["publish"] });
  });

  it("resumes from a cursor that an earlier life of the app kept", async () => {
    const world = new World();
    world.client.join("lobby", { since: "e:7" });
    await world.online();
    expect(world.socket.ofType("join")[0]).toMatchObject({ since: "e:7" });
  });

  it("marks the messages of the past", async () => {
    const { world, told } = await inLobby({ history: 2 }, { replay: 2 });
    world.socket.says(message("lobby", 1), message("lobby", 2), message("lobby", 3));
    expect(told.map(([, value]) => (value as { replay: boolean }).replay)).toEqual([true, true, false]);
  });

  it.each(["forbidden", "unknown_room", "too_many_rooms", "bad_field", "internal"])(
    "that is refused with %s is over, and so is what waited for it",
    async (code) => {
      const world = new World();
      const room = world.client.join("lobby");
      const told = listen(room);
      const waits = failure(room.publish("said", 1));
      await world.online();
      world.socket.says({ type: "error", re: world.socket.ofType("join")[0]?.id, code, message: code });
      expect(told).toMatchObject([
        ["state", "left"],
        ["left", { reason: code, error: { code } }],
      ]);
      expect((await waits).code).toBe(code);
      expect((await failure(room.publish("said", 2))).code).toBe("left");
      await world.reconnect();
      expect(world.socket.ofType("join")).toEqual([]);
    },
  );

  it.each(["unavailable", "rate_limited"])("that is answered with %s is tried again", async (code) => {
    const world = new World();
    const room = world.client.join("lobby");
    await world.online();
    const id = world.socket.ofType("join")[0]?.id;
    world.socket.says({ type: "error", re: id, code, message: code, retry_after_ms: 2_000 });
    await world.pass(1_900);
    expect(world.socket.ofType("join")).toHaveLength(1);
    await world.pass(200);
    expect(world.socket.ofType("join")).toHaveLength(2);
    await world.admit("lobby");
    expect(room.state).toBe("joined");
  });

  it("a hundred rooms join at once, and those beyond the server's limit at its pace", async () => {
    const world = new World();
    for (let i = 0; i < 170; i++) world.client.join(`r${i}`);
    await world.online();
    expect(world.socket.ofType("join")).toHaveLength(150);
    await world.pass(1_000);
    expect(world.socket.ofType("join")).toHaveLength(170);
  });

  it("after a refusal a new join begins anew", async () => {
    const world = new World();
    world.client.join("lobby");
    await world.online();
    world.socket.says({ type: "error", re: world.socket.ofType("join")[0]?.id, code: "forbidden", message: "" });
    const again = world.client.join("lobby");
    await settle();
    await world.admit("lobby");
    expect(again.state).toBe("joined");
  });
});

describe("resuming", () => {
  it("rejoins every room from its cursor: that of the last joined, message, skip or gap", async () => {
    const world = new World();
    for (const name of ["joined", "message", "skip", "gap"]) world.client.join(name);
    await world.online();
    for (const name of ["joined", "message", "skip", "gap"]) await world.admit(name, { cursor: "e:10" });
    world.socket.says(
      message("message", 11),
      { type: "skip", room: "skip", offset: 12 },
      { type: "gap", room: "gap", cursor: "e:13", reason: "slow" },
    );
    await world.reconnect();
    expect(world.socket.ofType("join").map(({ room, since }) => [room, since])).toEqual([
      ["joined", "e:10"],
      ["message", "e:11"],
      ["skip", "e:12"],
      ["gap", "e:13"],
    ]);
  });

  it("shows the app no message twice and none out of order", async () => {
    const { world, told } = await inLobby();
    world.socket.says(message("lobby", 1), message("lobby", 2), message("lobby", 2), message("lobby", 1));
    await world.reconnect();
    await world.admit("lobby", { cursor: "e:2", recovered: true, replay: 2 });
    world.socket.says(message("lobby", 2), message("lobby", 3), message("lobby", 4));
    expect(offsets(told)).toEqual([1, 2, 3, 4]);
    expect(names(told)).not.toContain("gap");
    expect(names(told)).not.toContain("reset");
  });

  it.each([
    ["trimmed", { cursor: "e:90" }],
    ["epoch", { cursor: "f:3" }],
  ])("tells a reset (%s) after joined, and before the messages that follow", async (reason, joined) => {
    const { world, room, told } = await inLobby({ history: 1 });
    world.socket.says(message("lobby", 1));
    told.length = 0;
    await world.reconnect();
    expect(world.socket.ofType("join")[0]).toMatchObject({ since: "e:1", history: 1 });
    await world.admit("lobby", { ...joined, recovered: false, replay: 1 });
    world.socket.says(message("lobby", joined.cursor === "e:90" ? 91 : 4));
    const order = names(told).filter((event) => event !== "state" && event !== "presence");
    expect(order).toEqual(["joined", "reset", "message"]);
    expect(told.find(([event]) => event === "reset")?.[1]).toEqual({ cursor: joined.cursor, reason });
    expect(room.cursor).toBe(joined.cursor === "e:90" ? "e:91" : "f:4");
  });

  it("a cursor of an earlier life that is not recovered is a reset too", async () => {
    const world = new World();
    const told = listen(world.client.join("lobby", { since: "e:7" }));
    await world.online();
    await world.admit("lobby", { cursor: "e:90", recovered: false });
    expect(told.find(([event]) => event === "reset")?.[1]).toEqual({ cursor: "e:90", reason: "trimmed" });
  });

  it("a room without a log cannot be resumed, and says so", async () => {
    const unkept = { cursor: undefined, kept: false };
    const { world, room, told } = await inLobby({}, unkept);
    expect(names(told)).toEqual([]);
    world.socket.says({ ...message("lobby", 1), offset: undefined });
    expect(names(told)).toEqual(["message"]);
    expect(room.cursor).toBeUndefined();
    await world.reconnect();
    expect(world.socket.ofType("join")[0]).not.toHaveProperty("since");
    await world.admit("lobby", unkept);
    expect(told.find(([event]) => event === "reset")?.[1]).toEqual({ cursor: undefined, reason: "unkept" });
  });

  it("tells a gap where the server does, and what lies around it", async () => {
    const { world, room, told } = await inLobby();
    world.socket.says(message("lobby", 1), { type: "gap", room: "lobby", cursor: "e:9", reason: "slow" }, message("lobby", 10));
    expect(names(told)).toEqual(["message", "gap", "message"]);
    expect(told[1]?.[1]).toEqual({ after: "e:1", cursor: "e:9", reason: "slow" });
    expect(room.cursor).toBe("e:10");
  });

  it("a gap into another epoch is a reset", async () => {
    const { world, told } = await inLobby();
    world.socket.says({ type: "gap", room: "lobby", cursor: "f:0", reason: "epoch" }, message("lobby", 1));
    expect(told.map(([event]) => event)).toEqual(["reset", "message"]);
  });

  it("tells a gap where the server skipped offsets without a word", async () => {
    const { world, told } = await inLobby();
    world.socket.says(message("lobby", 1), message("lobby", 5));
    expect(names(told)).toEqual(["message", "gap", "message"]);
    expect(told[1]?.[1]).toEqual({ after: "e:1", cursor: "e:4", reason: "unknown" });
  });

  it("numbers with holes are no gap where the message names its predecessor", async () => {
    const { world, told } = await inLobby();
    world.socket.says(message("lobby", 3, { prev: 0 }), message("lobby", 8, { prev: 3 }));
    expect(names(told)).toEqual(["message", "message"]);
  });

  it("messages that were skipped on purpose are no gap", async () => {
    const { world, told } = await inLobby();
    world.socket.says({ type: "skip", room: "lobby", offset: 4 }, message("lobby", 5));
    expect(names(told)).toEqual(["message"]);
  });
});

describe("handles", () => {
  it("of one room share one membership, which ends with the last", async () => {
    const world = new World();
    const one = world.client.join("lobby");
    const two = world.client.join("lobby");
    await world.online();
    await world.admit("lobby");
    expect(world.socket.ofType("join")).toHaveLength(1);
    one.leave();
    await settle();
    expect(world.socket.ofType("leave")).toEqual([]);
    expect([one.state, two.state]).toEqual(["left", "joined"]);
    two.leave();
    two.leave();
    await settle();
    expect(world.socket.ofType("leave")).toEqual([{ type: "leave", room: "lobby" }]);
    await world.reconnect();
    expect(world.socket.ofType("join")).toEqual([]);
  });

  it("taken over in the same turn cost the others no departure (React's StrictMode)", async () => {
    const { world, room } = await inLobby();
    room.leave();
    const next = world.client.join("lobby");
    await settle();
    expect(next.state).toBe("joined");
    expect(world.socket.ofType("leave")).toEqual([]);
    expect(world.socket.ofType("join")).toHaveLength(1);
  });

  it("that were left hear nothing and send nothing", async () => {
    const { world, room, told } = await inLobby();
    world.client.join("lobby");
    room.leave();
    world.socket.says(message("lobby", 1));
    expect(told).toEqual([]);
    expect((await failure(room.publish("said", 1))).code).toBe("left");
    expect(room.signal("typing", null)).toBe(false);
  });

  it("left with publishes that wait: the room is kept until they are settled", async () => {
    const { world, room } = await inLobby();
    const kept = room.publish("said", 1);
    room.leave();
    await settle();
    expect(world.socket.ofType("leave")).toEqual([]);
    await world.reconnect();
    await world.admit("lobby");
    world.socket.says({ type: "ack", re: world.socket.ofType("publish")[0]?.id, room: "lobby", offset: 1, cursor: "e:1" });
    expect((await kept).offset).toBe(1);
    await settle();
    expect(world.socket.ofType("leave")).toHaveLength(1);
  });

  it("a late one that wants presence makes the client join for it, without a second arrival or a new replay", async () => {
    const { world, told } = await inLobby();
    const late = world.client.join("lobby", { presence: true, history: 50 });
    await settle();
    const join = world.socket.ofType("join").at(-1);
    expect(join).toMatchObject({ presence: true });
    expect(join).not.toHaveProperty("history");
    expect(join).not.toHaveProperty("since");
    await world.admit("lobby", { presence: [{ user: "ann", data: 1 }] });
    expect([...late.presence]).toEqual([["ann", 1]]);
    expect(names(told)).not.toContain("reset");
  });

  it("a room joined again right after it was left hears nothing of the earlier membership", async () => {
    const { world, room } = await inLobby();
    room.leave();
    await settle();
    const next = world.client.join("lobby");
    const told = listen(next);
    await settle();
    world.socket.says({ type: "left", room: "lobby" }, message("lobby", 9));
    expect(told).toEqual([]);
    await world.admit("lobby", { cursor: "e:9" });
    expect(next.state).toBe("joined");
  });
});

describe("a left with a reason", () => {
  it.each(["removed", "forbidden"] as const)("%s is told, and not undone by the client", async (reason) => {
    const { world, room, told } = await inLobby();
    const waits = failure(room.publish("said", 1));
    await settle();
    world.socket.says({ type: "left", room: "lobby", reason });
    expect(told).toMatchObject([
      ["state", "left"],
      ["left", { reason }],
    ]);
    // It was on its way: nobody knows.
    expect((await waits).code).toBe("outcome_unknown");
    await world.reconnect();
    expect(world.socket.ofType("join")).toEqual([]);
  });
});

describe("signals", () => {
  it("are sent where the room is joined, and dropped where not", async () => {
    const { world, room } = await inLobby();
    expect(room.signal("typing", { on: true })).toBe(true);
    expect(world.socket.ofType("signal")).toEqual([{ type: "signal", room: "lobby", event: "typing", data: { on: true } }]);
    world.socket.ends();
    expect(room.signal("typing", null)).toBe(false);
    await world.reconnect();
    expect(world.socket.ofType("signal")).toEqual([]);
  });

  it("are dropped before they cost the server's patience, or pile up in the socket", async () => {
    const { world, room } = await inLobby();
    const sent = Array.from({ length: 100 }, () => room.signal("typing", null));
    expect(sent.filter(Boolean).length).toBeLessThanOrEqual(50);
    await world.pass(1_000);
    world.socket.bufferedAmount = 1e6;
    expect(room.signal("typing", null)).toBe(false);
  });

  it("arrive in their room, or, without one, at the client", async () => {
    const { world, told } = await inLobby();
    const own = vi.fn();
    world.client.on("signal", own);
    world.socket.says({ type: "signal", room: "lobby", event: "typing", data: 1, from: "bob", at: 5 });
    world.socket.says({ type: "signal", event: "hello", data: 2, at: 6 });
    expect(told).toMatchObject([["signal", { event: "typing", data: 1, from: "bob", at: 5 }]]);
    expect(own.mock.calls).toMatchObject([[{ event: "hello", data: 2, at: 6 }]]);
  });
});

describe("history", () => {
  const page = { messages: [message("lobby", 1), message("lobby", 2)], cursor: "e:2", more: false };

  it("is asked for and answered", async () => {
    const { world, room } = await inLobby();
    const asked = room.history({ before: 3, limit: 20 });
    await settle();
    const [sent] = world.socket.ofType("history");
    expect(sent).toMatchObject({ room: "lobby", before: 3, limit: 20 });
    world.socket.says({ type: "history", re: sent?.id, room: "lobby", ...page });
    const { messages, cursor, more } = await asked;
    expect([messages.map(({ offset }) => offset), cursor, more]).toEqual([[1, 2], "e:2", false]);
  });

  it("asked for while the connection is lost, is asked for again", async () => {
    const { world, room } = await inLobby();
    const asked = room.history();
    await settle();
    world.socket.ends();
    await world.pass(600);
    await world.welcome();
    await world.admit("lobby", { recovered: true });
    world.socket.says({ type: "history", re: world.socket.ofType("history")[0]?.id, room: "lobby", ...page });
    expect((await asked).messages).toHaveLength(2);
  });

  it("rejects in time where no answer comes, connected or not, and where it is refused", async () => {
    const offline = new World();
    const waits = failure(offline.client.join("lobby").history());
    await offline.pass(30_000);
    expect((await waits).code).toBe("timeout");
    const { world, room } = await inLobby();
    const refused = failure(room.history());
    await settle();
    const re = world.socket.ofType("history")[0]?.id;
    world.socket.says({ type: "error", re, room: "lobby", code: "forbidden", message: "" });
    expect((await refused).code).toBe("forbidden");
  });
});

describe("presence", () => {
  const list = [
    { user: "ann", data: 1 },
    { user: "bob", data: 2 },
  ];

  it("is exactly what the server told", async () => {
    const { world, room, told } = await inLobby({ presence: true }, { presence: list, members: 2 });
    expect([...room.presence]).toEqual([
      ["ann", 1],
      ["bob", 2],
    ]);
    const before = room.presence;
    world.socket.says({ type: "presence", room: "lobby", joined: [{ user: "cy", data: 3 }], left: [{ user: "bob" }], members: 2 });
    world.socket.says({ type: "presence", room: "lobby", updated: [{ user: "cy", data: 4 }], members: 2 });
    expect([...room.presence]).toEqual([
      ["ann", 1],
      ["cy", 4],
    ]);
    expect([...before.keys()]).toEqual(["ann", "bob"]);
    expect(told).toEqual([
      ["presence", { joined: [{ user: "cy", data: 3 }], left: ["bob"], updated: [], replaced: false, members: 2 }],
      ["presence", { joined: [], left: [], updated: [{ user: "cy", data: 4 }], replaced: false, members: 2 }],
    ]);
  });

  it("is replaced by a whole list, and after a reconnect", async () => {
    const { world, room, told } = await inLobby({ presence: true }, { presence: list });
    world.socket.says({ type: "presence", room: "lobby", all: [{ user: "dan", data: 5 }], members: 1 });
    expect([...room.presence]).toEqual([["dan", 5]]);
    expect(told).toMatchObject([["presence", { replaced: true }]]);
    await world.reconnect();
    expect([...room.presence.keys()]).toEqual(["dan"]);
    await world.admit("lobby", { presence: list, recovered: true });
    expect([...room.presence.keys()]).toEqual(["ann", "bob"]);
  });

  it("in a large room is a number only", async () => {
    const { world, room } = await inLobby({ presence: true }, { presence: list });
    world.socket.says({ type: "presence", room: "lobby", members: 201 });
    expect([room.presence.size, room.members]).toEqual([0, 201]);
  });

  it("of one's own is sent, and given again at every join", async () => {
    const { world, room } = await inLobby();
    const data = { mood: "fine" };
    room.setPresence(data);
    data.mood = "changed";
    await settle();
    expect(world.socket.ofType("presence")).toMatchObject([{ room: "lobby", data: { mood: "fine" } }]);
    await world.reconnect();
    expect(world.socket.ofType("join")[0]).toMatchObject({ data: { mood: "fine" } });
  });

  it("set while a join is under way is not lost", async () => {
    const world = new World();
    const room = world.client.join("lobby", { data: 1 });
    await world.online();
    room.setPresence(2);
    await world.admit("lobby");
    expect(world.socket.ofType("presence")).toMatchObject([{ data: 2 }]);
  });

  it("set often is sent as it is last, one at a time", async () => {
    const { world, room } = await inLobby();
    for (let i = 0; i < 50; i++) room.setPresence(i);
    await settle();
    expect(world.socket.ofType("presence")).toMatchObject([{ data: 49 }]);
    for (let i = 50; i < 100; i++) room.setPresence(i);
    await settle();
    expect(world.socket.ofType("presence")).toHaveLength(1);
    world.socket.says({ type: "ack", re: world.socket.ofType("presence")[0]?.id, room: "lobby" });
    await settle();
    expect(world.socket.ofType("presence")).toMatchObject([{ data: 49 }, { data: 99 }]);
  });

  it("that another tab of this user changed is not put back by a rejoin", async () => {
    const { world, room } = await inLobby({ presence: true, data: "here" }, { presence: [{ user: "ann", data: "here" }] });
    world.socket.says({ type: "presence", room: "lobby", updated: [{ user: "ann", data: "there" }], members: 1 });
    expect(room.presence.get("ann")).toBe("there");
    await world.reconnect();
    expect(world.socket.ofType("join")[0]).toMatchObject({ data: "there" });
  });

  it("that is refused is told", async () => {
    const { world, room, told } = await inLobby();
    room.setPresence("x");
    await settle();
    const re = world.socket.ofType("presence")[0]?.id;
    world.socket.says({ type: "error", re, room: "lobby", code: "forbidden", message: "" });
    expect(told).toMatchObject([["error", { code: "forbidden", room: "lobby" }]]);
  });
});

describe("a listener that throws", () => {
  it("is told to the client, and costs the others nothing", async () => {
    const { world, room } = await inLobby();
    const cause = new Error("a bug in the app");
    const other = vi.fn();
    room.on("message", () => {
      throw cause;
    });
    room.on("message", other);
    world.socket.says(message("lobby", 1), message("lobby", 2));
    expect(other).toHaveBeenCalledTimes(2);
    expect(world.errors).toMatchObject([{ code: "listener_failed", cause }, { code: "listener_failed", cause }]);
    expect(room.cursor).toBe("e:2");
  });

  it("listens no more once it is taken off, and twice where it was put on twice", async () => {
    const { world, room } = await inLobby();
    const listener = vi.fn();
    const off = room.on("message", listener);
    room.on("message", listener);
    world.socket.says(message("lobby", 1));
    expect(listener).toHaveBeenCalledTimes(2);
    off();
    off();
    world.socket.says(message("lobby", 2));
    expect(listener).toHaveBeenCalledTimes(3);
  });
});
