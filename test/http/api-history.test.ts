import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/server/auth/identity.ts";
import { opsKey, startApi } from "./support/api.ts";

const lobby = "/v1/rooms/lobby/messages";
const reader = (...rights: ("join" | "publish" | "history")[]): Identity => ({ user: "ann", rooms: { lobby: rights } });

describe("a page of history (P-36)", () => {
  it("holds the newest, oldest first, and goes back by before", async () => {
    const { hub, call } = await startApi();
    await hub.start();
    for (let n = 1; n <= 5; n++) await hub.room("lobby").publish("n", n);
    const newest = await call("GET", `${lobby}?limit=2`, { as: opsKey });
    expect(newest.json).toMatchObject({
      messages: [
        { offset: 4, event: "n", data: 4 },
        { offset: 5, event: "n", data: 5 },
      ],
      cursor: expect.stringMatching(/:5$/) as string,
      more: true,
    });
    const first = await call("GET", `${lobby}?before=4`, { as: opsKey });
    expect(first.json).toMatchObject({ messages: [{ offset: 1 }, { offset: 2 }, { offset: 3 }], more: false });
  });

  it("is the same that the WebSocket gives", async () => {
    const { hub, call, member } = await startApi();
    await hub.start();
    for (let n = 1; n <= 3; n++) await hub.room("lobby").publish("n", { n, lone: "\ud800", deep: [[[null]]] });
    const ann = await member("ann", "lobby");
    ann.send({ type: "history", id: "h", room: "lobby", before: 3, limit: 1 });
    const { type: _, re: _re, room: _room, ...page } = await ann.expect({ type: "history" });
    expect((await call("GET", `${lobby}?before=3&limit=1`, { as: "ann" })).json).toEqual(page);
  });

  it("is clamped to 100 messages", async () => {
    const { hub, call } = await startApi();
    await hub.start();
    for (let n = 0; n < 120; n++) await hub.room("lobby").publish("n", n);
    for (const query of ["", "?limit=1000000000"]) {
      const { json } = await call("GET", `${lobby}${query}`, { as: opsKey });
      expect([(json["messages"] as unknown[]).length, json["more"]]).toEqual([100, true]);
    }
  });

  it.each([
    "limit=0",
    "limit=-1",
    "limit=1.5",
    "limit=1e3",
    "limit=",
    "limit=1&limit=2",
    "before=0",
    "before=x",
    "before=9007199254740993",
  ])("refuses ?%s", async (query) => {
    const { call } = await startApi();
    const told = await call("GET", `${lobby}?${query}`, { as: opsKey });
    expect([told.status, told.json]).toMatchObject([400, { error: { code: "bad_field" } }]);
  });

  it("needs the right history, and not membership", async () => {
    const { call } = await startApi();
    expect((await call("GET", lobby, { as: reader("history") })).status).toBe(200);
    expect((await call("GET", lobby, { as: reader("join", "publish") })).status).toBe(403);
    expect((await call("GET", "/v1/rooms/%40ann/messages", { as: "ann" })).status).toBe(200);
    expect((await call("GET", "/v1/rooms/%40ann/messages", { as: "bob" })).status).toBe(403);
    expect((await call("GET", "/v1/rooms/%40ann/messages", { as: opsKey })).status).toBe(200);
  });

  it("without a body is answered to HEAD", async () => {
    const { call } = await startApi();
    const told = await call("HEAD", lobby, { as: opsKey });
    expect([told.status, told.text, told.headers.get("content-type")]).toEqual([
      200,
      "",
      "application/json; charset=utf-8",
    ]);
  });
});
