import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/server/auth/identity.ts";
import { jwt } from "../../src/server/index.ts";
import { eventually } from "../server/support/hub.ts";
import { makeToken, testSecret } from "../support/token.ts";
import { opsKey, startApi } from "./support/api.ts";

describe("the members of a room", () => {
  it("are told with their data", async () => {
    const { call, member } = await startApi();
    await member("ann", "chat/lobby", { data: { name: "Ann" } });
    await member("bob", "chat/lobby");
    const told = await call("GET", "/v1/rooms/chat%2Flobby/members", { as: opsKey });
    expect(told.json).toEqual({
      members: 2,
      users: [
        { user: "ann", data: { name: "Ann" } },
        { user: "bob", data: null },
      ],
    });
    expect((await call("GET", "/v1/rooms/empty/members", { as: opsKey })).json).toEqual({ members: 0, users: [] });
  });

  it("are for users with the right presence", async () => {
    const { call } = await startApi();
    const members = "/v1/rooms/lobby/members";
    const may: Identity = { user: "ann", rooms: { lobby: ["presence"] } };
    const mayNot: Identity = { user: "ann", rooms: { lobby: ["join", "publish", "signal", "history"] } };
    expect((await call("GET", members, { as: may })).status).toBe(200);
    expect((await call("GET", members, { as: mayNot })).status).toBe(403);
    expect((await call("GET", "/v1/rooms/%40bob/members", { as: "ann" })).status).toBe(403);
    expect((await call("GET", "/v1/rooms/%24x/members", { as: opsKey })).status).toBe(403);
  });

  it("of a room that the contract does not have are not found", async () => {
    const { call } = await startApi({ rooms: { lobby: {} } });
    expect((await call("GET", "/v1/rooms/attic/members", { as: opsKey })).status).toBe(404);
  });
});

describe("the list of rooms", () => {
  it("has those with members, by name and page by page", async () => {
    const { call, member } = await startApi();
    for (const room of ["b/2", "b/1", "a", "b/3"]) await member("ann", room);
    await member("bob", "b/1");
    expect((await call("GET", "/v1/rooms", { as: opsKey })).json).toEqual({
      rooms: [
        { room: "a", members: 1 },
        { room: "b/1", members: 2 },
        { room: "b/2", members: 1 },
        { room: "b/3", members: 1 },
      ],
      more: false,
    });
    const page = await call("GET", "/v1/rooms?prefix=b%2F&limit=2", { as: opsKey });
    expect(page.json).toMatchObject({ rooms: [{ room: "b/1" }, { room: "b/2" }], more: true });
    const rest = await call("GET", "/v1/rooms?prefix=b%2F&after=b%2F2&limit=1000000000", { as: opsKey });
    expect(rest.json).toMatchObject({ rooms: [{ room: "b/3" }], more: false });
  });

  it.each(["limit=0", "limit=x", "prefix=a&prefix=b", "after=a&after=b"])("refuses ?%s", async (query) => {
    const { call } = await startApi();
    expect((await call("GET", `/v1/rooms?${query}`, { as: opsKey })).json).toMatchObject({
      error: { code: "bad_field" },
    });
  });
});

describe("taking a user out of a room", () => {
  it("ends it on all devices with left and a reason, and is safe to repeat", async () => {
    const { call, member } = await startApi();
    const [phone, laptop, bob] = [
      await member("ann", "lobby"),
      await member("ann", "lobby"),
      await member("bob", "lobby"),
    ];
    const told = await call("DELETE", "/v1/rooms/lobby/members/ann", { as: opsKey });
    expect([told.status, told.text]).toEqual([204, ""]);
    for (const ann of [phone, laptop]) await ann.expect({ type: "left", room: "lobby", reason: "removed" });
    expect((await call("GET", "/v1/rooms/lobby/members", { as: opsKey })).json).toMatchObject({ members: 1 });
    expect(await bob.settled()).toEqual([]);
    expect((await call("DELETE", "/v1/rooms/lobby/members/ann", { as: opsKey })).status).toBe(204);
    expect((await call("DELETE", "/v1/rooms/nowhere/members/ann", { as: opsKey })).status).toBe(204);
    expect((await call("DELETE", "/v1/rooms/%24x/members/ann", { as: opsKey })).status).toBe(403);
  });
});

describe("closing a user's connections", () => {
  it("closes all with 4003, whose user is gone at once and may come back", async () => {
    const { hub, call, member, connect } = await startApi();
    const [phone, laptop, bob] = [
      await member("an~n/1", "lobby"),
      await member("an~n/1", "lobby"),
      await member("bob", "lobby"),
    ];
    const told = await call("DELETE", "/v1/users/an~n%2F1/connections", { as: opsKey });
    expect([told.status, told.text]).toEqual([204, ""]);
    for (const ann of [phone, laptop]) await ann.expectClose(4003);
    await eventually(() => hub.room("lobby").here.size === 1);
    expect(bob.isOpen).toBe(true);
    await connect("an~n/1");
  });

  it("with revoke refuses the tokens and tickets issued before, over HTTP too", async () => {
    const { hub, call, url } = await startApi({ auth: jwt({ secret: testSecret }) });
    // Whole seconds: what is issued within the second of the revocation counts as before it.
    const issuedBefore = makeToken({ sub: "ann", iat: Math.floor(Date.now() / 1_000) - 5 });
    const ticket = await call("POST", "/v1/tickets", { as: issuedBefore });
    expect(ticket.status).toBe(200);
    expect((await call("DELETE", "/v1/users/ann/connections?revoke=false", { as: opsKey })).status).toBe(204);
    expect((await call("POST", "/v1/tickets", { as: issuedBefore })).status).toBe(200);
    expect((await call("DELETE", "/v1/users/ann/connections?revoke=true", { as: opsKey })).status).toBe(204);
    expect((await call("POST", "/v1/tickets", { as: issuedBefore })).status).toBe(401);
    expect((await call("GET", "/v1/rooms/%40ann/messages", { as: issuedBefore })).status).toBe(401);
    const facts = { path: "/ws", query: new URLSearchParams(), headers: {}, address: url };
    const spent = { kind: "ticket", token: String(ticket.json["ticket"]) } as const;
    expect(await hub.authenticate(spent, facts)).toBeUndefined();
    const issuedAfter = makeToken({ sub: "ann", iat: Math.ceil(Date.now() / 1_000) + 1 });
    expect((await call("POST", "/v1/tickets", { as: issuedAfter })).status).toBe(200);
  });

  it.each(["revoke=1", "revoke=", "revoke=true&revoke=true"])("refuses ?%s", async (query) => {
    const { call } = await startApi();
    expect((await call("DELETE", `/v1/users/ann/connections?${query}`, { as: opsKey })).status).toBe(400);
  });
});
