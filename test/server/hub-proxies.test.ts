import { describe, expect, it } from "vitest";
import type { RequestFacts } from "../../src/server/auth/identity.ts";
import { ask } from "../sse/support/reader.ts";
import { startApi } from "../http/support/api.ts";
import { open, readToken, serve } from "./support/hub.ts";

const trustedProxies = ["127.0.0.1"];
const onePerAddress = { connectionsPerAddress: 1 };
const from = (address: string): Record<string, string> => ({ "x-forwarded-for": address });

/** A check that notes where each request came from. */
function noting(): { seen: string[]; auth: (credentials: { token: string }, request: RequestFacts) => never } {
  const seen: string[] = [];
  const auth = ({ token }: { token: string }, request: RequestFacts): never => {
    seen.push(request.address);
    return readToken(token) as never;
  };
  return { seen, auth };
}

describe("behind a trusted proxy", () => {
  it("connections are counted by the client's address", async () => {
    const { port, connect } = await serve({ limits: onePerAddress, trustedProxies });
    await connect("ann", { headers: from("192.0.2.1") });
    await connect("bob", { headers: from("192.0.2.2") });
    await expect(open(port, { query: { token: "cyd" }, headers: from("192.0.2.1") })).rejects.toThrow("with 429");
  });

  it("what a client claims left of its own address opens no further connection", async () => {
    const { port, connect } = await serve({ limits: onePerAddress, trustedProxies });
    await connect("ann", { headers: from("192.0.2.1") });
    const claims = { query: { token: "ann" }, headers: from("198.51.100.1, 192.0.2.1") };
    await expect(open(port, claims)).rejects.toThrow("with 429");
  });

  it("sockets of endpoints are counted likewise, and only behind a proxy that is trusted", async () => {
    const behind = await serve({ limits: onePerAddress, trustedProxies });
    const open1 = await serve({ limits: onePerAddress });
    for (const { hub } of [behind, open1]) {
      hub.endpoint("/raw", async ({ socket }) => {
        for await (const _ of socket) socket.send("heard");
      });
    }
    const raw = (port: number, address: string): Promise<unknown> =>
      open(port, { path: "/raw", protocols: [], headers: from(address) });
    await raw(behind.port, "192.0.2.1");
    await raw(behind.port, "192.0.2.2");
    await expect(raw(behind.port, "192.0.2.1")).rejects.toThrow("with 429");
    await raw(open1.port, "192.0.2.1");
    await expect(raw(open1.port, "192.0.2.2")).rejects.toThrow("with 429");
  });

  it("streams are counted likewise", async () => {
    const { port } = await serve({ limits: onePerAddress, trustedProxies });
    const asking = async (address: string): Promise<unknown> =>
      (await (await ask(port, ["r"], { token: "ann", headers: from(address) })).nextEvent()).frame;
    expect(await asking("192.0.2.1")).toMatchObject({ type: "welcome" });
    expect(await asking("192.0.2.2")).toMatchObject({ type: "welcome" });
    expect(await asking("192.0.2.1")).toMatchObject({ type: "error", code: "rate_limited" });
  });

  it("the app's check is told the client's address, whatever the way in", async () => {
    const { seen, auth } = noting();
    const api = await startApi({ auth, trustedProxies });
    const port = Number(new URL(api.url).port);
    await open(port, { query: { token: "ann" }, headers: from("192.0.2.1") }).then((peer) =>
      peer.expect({ type: "welcome" }),
    );
    await (await ask(port, ["r"], { token: "ann", headers: from("192.0.2.2") })).nextEvent();
    await api.call("POST", "/v1/tickets", { as: "ann", headers: from("192.0.2.3") });
    expect(seen).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  });
});

describe("a peer that nobody trusts", () => {
  it.each<[string, readonly string[] | undefined]>([
    ["without trusted proxies", undefined],
    ["beside trusted proxies", ["10.0.0.0/8"]],
  ])("%s: its header counts nothing", async (_, trusted) => {
    const { seen, auth } = noting();
    const { port, connect } = await serve({
      auth,
      limits: onePerAddress,
      ...(trusted !== undefined && { trustedProxies: trusted }),
    });
    await connect("ann", { headers: from("192.0.2.1") });
    const claims = { query: { token: "bob" }, headers: from("192.0.2.2") };
    await expect(open(port, claims)).rejects.toThrow("with 429");
    expect(await (await ask(port, ["r"], { token: "bob", headers: from("192.0.2.3") })).nextEvent()).toMatchObject({
      frame: { type: "error" },
    });
    expect(seen).toEqual(["127.0.0.1"]);
  });
});
