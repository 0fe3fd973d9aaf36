import { describe, expect, it } from "vitest";
import { startApi } from "./support/api.ts";

const lobby = "/v1/rooms/lobby/messages";
const said = { event: "said", data: 1 };

describe("a hub that drains", () => {
  it("answers calls as before, for as long as its connections are sent away", async () => {
    const { hub, call, member } = await startApi();
    const ann = await member("ann", "lobby");
    const closed = hub.close({ drainMs: 1_000 });
    await ann.until({ type: "drain" });
    expect((await call("POST", lobby, { as: "bob", json: said })).status).toBe(200);
    await ann.until({ type: "message", from: "bob" });
    expect((await call("GET", lobby, { as: "ann" })).json["messages"]).toHaveLength(1);
    expect((await call("GET", "/readyz")).status).toBe(503);
    await closed;
    expect((await call("POST", lobby, { as: "bob", json: said })).status).toBe(503);
  });

  it("answers the calls that are under way before its backend is closed", async () => {
    const { hub, call } = await startApi();
    let begun = (): void => {};
    const inHandler = new Promise<void>((resolve) => (begun = resolve));
    const said = async (): Promise<void> => {
      begun();
      await new Promise((resolve) => setTimeout(resolve, 200));
    };
    hub.on("**", { publish: { said } });
    const told = call("POST", lobby, { as: "ann", json: { event: "said" } });
    await inHandler;
    await hub.close({ drainMs: 0 });
    expect((await told).json).toMatchObject({ offset: 1 });
  });

  it("does not wait for ever for a handler of the app", async () => {
    const { hub, call } = await startApi();
    let begun = (): void => {};
    const inHandler = new Promise<void>((resolve) => (begun = resolve));
    hub.on("**", { publish: { said: () => new Promise<void>(begun) } });
    void call("POST", lobby, { as: "ann", json: { event: "said" } }).catch(() => undefined);
    await inHandler;
    const began = performance.now();
    await hub.close({ drainMs: 0 });
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});
