import { describe, expect, it } from "vitest";
import { message, World } from "./support/harness.ts";
import { inLobby, listen, names, offsets } from "./support/lobby.ts";

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

  it("a cursor of an earlier life is the position until the first join, for a life that ends before it", async () => {
    const world = new World();
    const room = world.client.join("lobby", { since: "e:7" });
    expect(room.cursor).toBe("e:7");
    await world.online();
    await world.admit("lobby", { cursor: "e:90", recovered: false });
    expect(room.cursor).toBe("e:90");
    const unkept = new World();
    const fleeting = unkept.client.join("lobby", { since: "e:7" });
    await unkept.online();
    await unkept.admit("lobby", { cursor: undefined, kept: false, recovered: false });
    expect(fleeting.cursor).toBeUndefined();
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
    world.socket.says(
      message("lobby", 1),
      { type: "gap", room: "lobby", cursor: "e:9", reason: "slow" },
      message("lobby", 10),
    );
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
