import { describe, expect, it, vi } from "vitest";
import { failure, message, settle, World } from "./support/harness.ts";
import { inLobby } from "./support/lobby.ts";

describe("signals", () => {
  it("are sent where the room is joined, and dropped where not", async () => {
    const { world, room } = await inLobby();
    expect(room.signal("typing", { on: true })).toBe(true);
    expect(world.socket.ofType("signal")).toEqual([
      { type: "signal", room: "lobby", event: "typing", data: { on: true } },
    ]);
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
