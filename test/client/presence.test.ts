import { describe, expect, it } from "vitest";
import { settle, World } from "./support/harness.ts";
import { inLobby } from "./support/lobby.ts";

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
    world.socket.says({
      type: "presence",
      room: "lobby",
      joined: [{ user: "cy", data: 3 }],
      left: [{ user: "bob" }],
      members: 2,
    });
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

  it("that was on its way when the connection was lost goes with the join alone", async () => {
    const { world, room } = await inLobby();
    room.setPresence("new");
    await settle();
    await world.reconnect();
    expect(world.socket.ofType("join")[0]).toMatchObject({ data: "new" });
    await world.admit("lobby");
    expect(world.socket.ofType("presence")).toEqual([]);
  });

  it("that another tab of this user changed is not put back by a rejoin", async () => {
    const { world, room } = await inLobby(
      { presence: true, data: "here" },
      { presence: [{ user: "ann", data: "here" }] },
    );
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
