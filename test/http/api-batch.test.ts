import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/server/auth/identity.ts";
import { BackendUnavailable, memory, type Backend } from "../../src/server/index.ts";
import { opsKey, startApi } from "./support/api.ts";

const said = { event: "said", data: { text: "hi" } };

/** A backend whose log of one room cannot be reached. */
function broken(room: string): Backend {
  const backend = memory();
  return Object.assign(Object.create(backend) as Backend, {
    open: (context: Parameters<Backend["open"]>[0]) => backend.open(context),
    close: () => backend.close(),
    append: (...args: Parameters<Backend["append"]>) =>
      args[0].name === room
        ? Promise.reject(new BackendUnavailable("disk at /var/x is full"))
        : backend.append(...args),
    find: (...args: Parameters<Backend["find"]>) => backend.find(...args),
    state: (...args: Parameters<Backend["state"]>) => backend.state(...args),
    relay: (...args: Parameters<Backend["relay"]>) => backend.relay(...args),
    subscribe: (...args: Parameters<Backend["subscribe"]>) => backend.subscribe(...args),
  });
}

describe("a batch", () => {
  it("publishes the same message into each room, and tells what became of it in their order", async () => {
    const { call, member } = await startApi();
    const ann = await member("ann", "b");
    await call("POST", "/v1/rooms/b/messages", { as: opsKey, json: { event: "first" } });
    const told = await call("POST", "/v1/publish", {
      as: opsKey,
      json: { rooms: ["a", "b", "@ann"], ...said, user: "bob" },
    });
    expect(told.status).toBe(200);
    expect(told.json).toEqual({
      results: [
        { room: "a", offset: 1, cursor: expect.stringMatching(/:1$/) },
        { room: "b", offset: 2, cursor: expect.stringMatching(/:2$/) },
        { room: "@ann", offset: 1, cursor: expect.stringMatching(/:1$/) },
      ],
    });
    await ann.expect({ type: "message", event: "first" });
    await ann.expect({ type: "message", room: "b", from: "bob", ...said, offset: 2 });
  });

  it("fails in part: each room is for itself", async () => {
    const { call, logged } = await startApi({ backend: broken("down") });
    const rooms = ["ok", "$x", "a\u0000b", "", "down", "x".repeat(256), "ok2"];
    const told = await call("POST", "/v1/publish", { as: opsKey, json: { rooms, ...said } });
    const results = told.json["results"] as { room: string; offset?: number; error?: { code: string } }[];
    expect(results.map(({ room, offset, error }) => [room, offset ?? error?.code])).toEqual([
      ["ok", 1],
      ["$x", "forbidden"],
      ["a\u0000b", "bad_field"],
      ["", "bad_field"],
      ["down", "unavailable"],
      ["x".repeat(256), "bad_field"],
      ["ok2", 1],
    ]);
    expect(told.text).not.toContain("/var/x");
    expect(logged).toContain("warn an HTTP call could not be answered");
  });

  it("of a user goes where the user may publish", async () => {
    const { call } = await startApi();
    const ann: Identity = { user: "ann", rooms: { mine: ["publish"], read: ["join", "history"] } };
    const told = await call("POST", "/v1/publish", {
      as: ann,
      json: { rooms: ["mine", "read", "other", "@ann"], ...said },
    });
    expect(told.json).toMatchObject({
      results: [
        { room: "mine", offset: 1 },
        { room: "read", error: { code: "forbidden" } },
        { room: "other", error: { code: "forbidden" } },
        { room: "@ann", error: { code: "forbidden" } },
      ],
    });
  });

  it("can be repeated with its key, for the rooms that failed alone", async () => {
    const { call } = await startApi();
    const headers = { "idempotency-key": "batch-1" };
    await call("POST", "/v1/publish", { as: opsKey, json: { rooms: ["a", "b"], ...said }, headers });
    const again = await call("POST", "/v1/publish", { as: opsKey, json: { rooms: ["b", "c"], ...said }, headers });
    expect(again.json).toMatchObject({
      results: [
        { room: "b", offset: 1, duplicate: true },
        { room: "c", offset: 1 },
      ],
    });
    const one = await call("POST", "/v1/rooms/c/messages", { as: opsKey, json: said, headers });
    expect(one.json).toMatchObject({ offset: 1, duplicate: true });
    const other = await call("POST", "/v1/publish", { as: opsKey, json: { rooms: ["a"], event: "else" }, headers });
    expect(other.json).toMatchObject({ results: [{ room: "a", error: { code: "conflict" } }] });
  });

  it("takes 100 rooms, and not one more", async () => {
    const { call } = await startApi();
    const names = Array.from({ length: 101 }, (_, i) => `r${i}`);
    const most = await call("POST", "/v1/publish", { as: opsKey, json: { rooms: names.slice(0, 100), ...said } });
    expect((most.json["results"] as unknown[]).length).toBe(100);
    const more = await call("POST", "/v1/publish", { as: opsKey, json: { rooms: names, ...said } });
    expect([more.status, more.json]).toMatchObject([413, { error: { code: "too_large" } }]);
  });

  it("takes 100 of the longest names beside a message of the largest size", async () => {
    const { call } = await startApi({ limits: { messageBytes: 1_000 } });
    const rooms = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(255, "x"));
    const told = await call("POST", "/v1/publish", { as: opsKey, json: { rooms, event: "e", data: "x".repeat(900) } });
    expect(told.status).toBe(200);
  });

  it.each<[string, object]>([
    ["no rooms", said],
    ["an empty list", { rooms: [], ...said }],
    ["a room that is no text", { rooms: ["a", 1], ...said }],
    ["null", { rooms: null, ...said }],
    ["a text", { rooms: "a", ...said }],
    ["a room twice", { rooms: ["a", "b", "a"], ...said }],
  ])("refuses %s, and publishes nothing", async (_, json) => {
    const { call } = await startApi();
    const told = await call("POST", "/v1/publish", { as: opsKey, json });
    expect([told.status, told.json]).toMatchObject([400, { error: { code: "bad_field" } }]);
    expect(told.json).toMatchObject({ error: { message: expect.stringContaining("rooms") as string } });
    expect((await call("GET", "/v1/rooms/a/messages", { as: opsKey })).json).toMatchObject({ messages: [] });
  });
});
