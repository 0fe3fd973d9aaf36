import { describe, expect, it } from "vitest";
import { opsKey, otherKey, startApi } from "./support/api.ts";

const said = { event: "said", data: { text: "hi" } };
const lobby = "/v1/rooms/lobby/messages";

describe("an Idempotency-Key (P-31)", () => {
  const keyed = (key: string, json: object = said) => ({ json, headers: { "idempotency-key": key } });

  it("makes a publish safe to repeat, over HTTP and the WebSocket alike, for the same user", async () => {
    const { hub, call, member } = await startApi();
    let handled = 0;
    hub.on("**", { publish: { said: () => ({ result: ++handled }) } });
    const ann = await member("ann", "lobby");
    const first = await call("POST", lobby, { as: "ann", ...keyed("k1") });
    await ann.expect({ type: "message", offset: 1, key: "k1" });
    const again = await call("POST", lobby, { as: "ann", ...keyed("k1") });
    expect(again.json).toEqual({ ...first.json, duplicate: true });
    ann.send({ type: "publish", id: "1", key: "k1", room: "lobby", ...said });
    await ann.expect({ type: "ack", re: "1", offset: 1, duplicate: true, result: 1 });

    ann.send({ type: "publish", id: "2", key: "k2", room: "lobby", ...said });
    await ann.expectAll([
      { type: "ack", re: "2", offset: 2 },
      { type: "message", offset: 2 },
    ]);
    const late = await call("POST", lobby, { as: "ann", ...keyed("k2") });
    expect(late.json).toMatchObject({ offset: 2, duplicate: true, result: 2 });
    expect(handled).toBe(2);
  });

  it("is a conflict with another message", async () => {
    const { call } = await startApi();
    await call("POST", lobby, { as: opsKey, ...keyed("k") });
    const other = await call("POST", lobby, { as: opsKey, ...keyed("k", { event: "said", data: 2 }) });
    expect([other.status, other.json]).toMatchObject([409, { error: { code: "conflict" } }]);
  });

  it("is each user's and each API key's own, whatever user the API key names", async () => {
    const { call } = await startApi();
    const offsets = [];
    for (const as of ["ann", "bob", opsKey, otherKey]) {
      offsets.push((await call("POST", lobby, { as, ...keyed("k") })).json["offset"]);
    }
    const named = await call("POST", lobby, { as: opsKey, ...keyed("k", { ...said, user: "ann" }) });
    expect([...offsets, named.json]).toEqual([1, 2, 3, 4, expect.objectContaining({ offset: 3, duplicate: true })]);
  });

  it("keeps one of two that come at once", async () => {
    const { call } = await startApi();
    const both = await Promise.all([1, 2, 3, 4].map(() => call("POST", lobby, { as: "ann", ...keyed("k") })));
    expect(both.map(({ json }) => json["offset"])).toEqual([1, 1, 1, 1]);
    expect(both.filter(({ json }) => json["duplicate"] === true)).toHaveLength(3);
  });

  it.each([
    ["empty", ""],
    ["of 65 characters", "k".repeat(65)],
    ["no UTF-8", "caf\u00e9"],
  ])("that is %s is refused", async (_, key) => {
    const { call } = await startApi();
    const told = await call("POST", lobby, { as: opsKey, ...keyed(key) });
    expect([told.status, told.json]).toMatchObject([400, { error: { code: "bad_field" } }]);
    expect(told.json).toMatchObject({ error: { message: expect.stringContaining("Idempotency-Key") as string } });
  });
});
