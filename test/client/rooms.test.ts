import { describe, expect, it, vi } from "vitest";
import { failure, message, settle, World } from "./support/harness.ts";
import { inLobby, listen, names } from "./support/lobby.ts";

describe("joining", () => {
  it("happens on connect, with what the app asked for", async () => {
    const world = new World();
    const room = world.client.join("lobby", { presence: true, history: 50, data: { name: "Ann" } });
    const told = listen(room);
    expect(room.state).toBe("joining");
    await world.online();
    expect(world.socket.ofType("join")).toMatchObject([
      { room: "lobby", history: 50, presence: true, data: { name: "Ann" } },
    ]);
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

  it("stands at that cursor until it is joined: a life that never gets so far does not lose it", async () => {
    const world = new World();
    const room = world.client.join("lobby", { since: "e:7" });
    expect(room.cursor).toBe("e:7");
    await world.online();
    expect(room.cursor).toBe("e:7");
    await world.admit("lobby", { cursor: "f:2", recovered: false });
    expect(room.cursor).toBe("f:2");
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
    world.socket.says({
      type: "ack",
      re: world.socket.ofType("publish")[0]?.id,
      room: "lobby",
      offset: 1,
      cursor: "e:1",
    });
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
    expect(world.errors).toMatchObject([
      { code: "listener_failed", cause },
      { code: "listener_failed", cause },
    ]);
    expect(room.cursor).toBe("e:2");
  });

  it("is not called any more once another listener has taken it off", async () => {
    const { world, room } = await inLobby();
    const second = vi.fn();
    room.on("message", () => off());
    const off = room.on("message", second);
    world.socket.says(message("lobby", 1));
    expect(second).not.toHaveBeenCalled();
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
