import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { Refused } from "../../src/server/index.ts";
import type { Identity } from "../../src/server/auth/identity.ts";
import { opsKey, startApi } from "./support/api.ts";

const said = { event: "said", data: { text: "hi" } };
const lobby = "/v1/rooms/lobby/messages";
const listener = (rooms: Identity["rooms"]): Identity => ({ user: "lis", ...(rooms !== undefined && { rooms }) });

describe("a message published with an API key", () => {
  it("is kept, and reaches everyone in the room as the server's own", async () => {
    const { call, member } = await startApi();
    const ann = await member("ann", "lobby");
    const told = await call("POST", lobby, { as: opsKey, json: said });
    expect(told.status).toBe(200);
    expect(told.headers.get("cache-control")).toBe("no-store");
    const frame = await ann.expect({ type: "message", room: "lobby", ...said, offset: 1 });
    expect(frame).not.toHaveProperty("from");
    expect(told.json).toEqual({ offset: 1, cursor: expect.stringMatching(/:1$/) });
  });

  it("is from a user where it says so, and one connection gets skip in its place", async () => {
    const { call, connect, member } = await startApi();
    const bob = await member("bob", "lobby");
    const { peer: ann, id } = await connect("ann");
    ann.send({ type: "join", room: "lobby" });
    await ann.expect({ type: "joined" });
    await call("POST", lobby, { as: opsKey, json: { ...said, user: "ann", except: id } });
    await bob.expect({ type: "message", ...said, from: "ann" });
    await ann.expect({ type: "skip", room: "lobby", offset: 1 });
  });

  it("goes into personal rooms, by their name or by their user's", async () => {
    const { call, member } = await startApi();
    const ann = await member("a/n n", "@a/n n");
    await call("POST", "/v1/users/a%2Fn%20n/messages", { as: opsKey, json: said });
    await ann.expect({ type: "message", room: "@a/n n", ...said, offset: 1 });
    await call("POST", "/v1/rooms/%40a%2Fn%20n/messages", { as: opsKey, json: { ...said, user: "bob" } });
    await ann.expect({ type: "message", room: "@a/n n", from: "bob", offset: 2 });
  });

  it("needs no data (P-5), and comes by no handler, but by the schemas", async () => {
    const { hub, call } = await startApi({
      rooms: { chat: { events: { said: v.nullable(v.object({ text: v.string() })) } } },
    });
    hub.on("chat", {
      publish: {
        said: () => {
          throw new Refused("forbidden", "by the handler");
        },
      },
    });
    expect((await call("POST", "/v1/rooms/chat/messages", { as: opsKey, json: { event: "said" } })).status).toBe(200);
    const bad = await call("POST", "/v1/rooms/chat/messages", {
      as: opsKey,
      json: { event: "said", data: { text: 1 } },
    });
    expect(bad.status).toBe(422);
    expect(bad.json).toMatchObject({ error: { code: "invalid_data", issues: [{ path: ["text"] }] } });
    const unknown = await call("POST", "/v1/rooms/chat/messages", { as: opsKey, json: { event: "sung" } });
    expect([unknown.status, unknown.json]).toMatchObject([422, { error: { code: "unknown_event" } }]);
    const nowhere = await call("POST", "/v1/rooms/attic/messages", { as: opsKey, json: said });
    expect([nowhere.status, nowhere.json]).toMatchObject([404, { error: { code: "unknown_room" } }]);
  });

  it("has no offset in a room that keeps no log", async () => {
    const { call, member } = await startApi({ rooms: { live: { keep: false } } });
    const ann = await member("ann", "live");
    const told = await call("POST", "/v1/rooms/live/messages", { as: opsKey, json: said });
    expect([told.status, told.json]).toEqual([200, {}]);
    await ann.expect({ type: "message", ...said });
    expect((await call("GET", "/v1/rooms/live/messages", { as: opsKey })).status).toBe(403);
  });

  it("may go where only the server publishes, and never into a name that begins with $", async () => {
    const { call } = await startApi({ rooms: { news: { publish: "server" }, "**": {} } });
    expect((await call("POST", "/v1/rooms/news/messages", { as: opsKey, json: said })).status).toBe(200);
    expect((await call("POST", "/v1/rooms/news/messages", { as: "ann", json: said })).status).toBe(403);
    expect((await call("POST", "/v1/rooms/%24x/messages", { as: opsKey, json: said })).status).toBe(403);
  });
});

describe("a message published with a user's token", () => {
  it("is from the user, who need not be in the room", async () => {
    const { call, member } = await startApi();
    const bob = await member("bob", "lobby");
    const told = await call("POST", lobby, { as: "ann", json: said });
    expect(told.json).toMatchObject({ offset: 1 });
    await bob.expect({ type: "message", from: "ann", ...said });
  });

  it("comes by the app's handler, which sees no connection, may change the data and give a result", async () => {
    const { hub, call, member } = await startApi();
    const bob = await member("bob", "lobby");
    hub.on("**", {
      publish: {
        said: ({ user, connection, room, key }) => ({
          data: { user, connection: connection ?? null, room },
          result: { key: key ?? null },
        }),
        cursed: () => {
          throw new Refused("invalid_data", "mind your language", { issues: [{ message: "cursed" }] });
        },
        slow: () => {
          throw new Refused("rate_limited", "not so fast", { retryAfterMs: 1_200 });
        },
        broken: () => {
          throw new Error("secret detail");
        },
      },
    });
    const told = await call("POST", lobby, { as: "ann", json: said, headers: { "idempotency-key": "k" } });
    expect(told.json).toMatchObject({ offset: 1, result: { key: "k" } });
    await bob.expect({ type: "message", data: { user: "ann", connection: null, room: "lobby" }, from: "ann" });

    const cursed = await call("POST", lobby, { as: "ann", json: { event: "cursed" } });
    expect([cursed.status, cursed.json]).toEqual([
      422,
      { error: { code: "invalid_data", message: "mind your language", issues: [{ message: "cursed" }] } },
    ]);
    const slow = await call("POST", lobby, { as: "ann", json: { event: "slow" } });
    expect([slow.status, slow.headers.get("retry-after")]).toEqual([429, "2"]);
    expect(slow.json).toMatchObject({ error: { code: "rate_limited", retry_after_ms: 1_200 } });
  });

  it("costs that call alone where the handler fails, whose error nobody outside reads", async () => {
    const { hub, call, logged } = await startApi();
    hub.on("**", {
      publish: {
        broken: () => {
          throw new Error("secret detail");
        },
      },
    });
    const broken = await call("POST", lobby, { as: "ann", json: { event: "broken" } });
    expect([broken.status, broken.text]).toEqual([500, expect.not.stringContaining("secret")]);
    expect(logged).toContain("error an HTTP call failed");
    expect((await call("POST", lobby, { as: "ann", json: said })).json).toMatchObject({ offset: 1 });
  });

  it.each<[string, Identity["rooms"], number]>([
    ["all rights", ["lobby"], 200],
    ["the right to publish, without being allowed in", { lobby: ["publish"] }, 200],
    ["every right but to publish", { lobby: ["join", "signal", "presence", "history"] }, 403],
    ["rights elsewhere", ["attic"], 403],
  ])("is judged by the rights: %s", async (_, rooms, status) => {
    const { call } = await startApi();
    expect((await call("POST", lobby, { as: listener(rooms), json: said })).status).toBe(status);
  });

  it("is judged by the app's authorize as well", async () => {
    const { hub, call } = await startApi();
    hub.on("**", { authorize: ({ user }) => (user === "ann" ? ["history"] : true) });
    expect((await call("POST", lobby, { as: "ann", json: said })).status).toBe(403);
    expect((await call("POST", lobby, { as: "bob", json: said })).status).toBe(200);
  });

  it.each([{ user: "bob" }, { except: "some-connection" }, { user: "ann" }])(
    "may not say %j: that is an API key's",
    async (more) => {
      const { call } = await startApi();
      expect((await call("POST", lobby, { as: "ann", json: { ...said, ...more } })).status).toBe(403);
    },
  );

  it("does not go into personal rooms (P-20)", async () => {
    const { call } = await startApi();
    expect((await call("POST", "/v1/rooms/%40ann/messages", { as: "ann", json: said })).status).toBe(403);
    expect((await call("POST", "/v1/users/ann/messages", { as: "ann", json: said })).status).toBe(403);
  });

  it("answers forbidden where the rights are missing, whether the room exists or not (P-60)", async () => {
    const { call } = await startApi({ rooms: { lobby: {} } });
    const nowhere = { as: listener(["lobby"]), json: said };
    expect((await call("POST", "/v1/rooms/attic/messages", nowhere)).status).toBe(403);
    expect((await call("POST", "/v1/rooms/attic/messages", { ...nowhere, as: listener(["attic"]) })).status).toBe(404);
  });
});

describe("a signal", () => {
  const signals = "/v1/rooms/lobby/signals";
  const typing = { event: "typing", data: true };

  it("reaches everyone in the room and is not kept", async () => {
    const { call, member } = await startApi();
    const [ann, bob] = [await member("ann", "lobby"), await member("bob", "lobby")];
    const told = await call("POST", signals, { as: "ann", json: typing });
    expect([told.status, told.text]).toEqual([202, ""]);
    await ann.expect({ type: "signal", room: "lobby", from: "ann", ...typing });
    await bob.expect({ type: "signal", room: "lobby", from: "ann", ...typing });
    await call("POST", signals, { as: opsKey, json: typing });
    expect(await bob.expect({ type: "signal", ...typing })).not.toHaveProperty("from");
    expect((await call("GET", lobby, { as: opsKey })).json).toMatchObject({ messages: [] });
  });

  it("of an API key can be a user's, and leave a connection out", async () => {
    const { call, member, connect } = await startApi();
    const bob = await member("bob", "lobby");
    const { peer: ann, id } = await connect("ann");
    ann.send({ type: "join", room: "lobby" });
    await ann.expect({ type: "joined" });
    await call("POST", signals, { as: opsKey, json: { ...typing, user: "ann", except: id } });
    await bob.expect({ type: "signal", from: "ann" });
    expect(await ann.settled()).toEqual([]);
    expect((await call("POST", signals, { as: "ann", json: { ...typing, user: "bob" } })).status).toBe(403);
  });

  it("needs the right to signal", async () => {
    const { call } = await startApi();
    expect((await call("POST", signals, { as: listener({ lobby: ["publish"] }), json: typing })).status).toBe(403);
    expect((await call("POST", signals, { as: listener({ lobby: ["signal"] }), json: typing })).status).toBe(202);
  });
});
