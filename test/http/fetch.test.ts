import { describe, expect, it, onTestFinished } from "vitest";
import { fetchApi, type FetchFacts } from "../../src/http/fetch.ts";
import type { ApiOptions } from "../../src/http/api/api.ts";
import { createHub, type HubOptions } from "../../src/server/index.ts";
import { readToken } from "../server/support/hub.ts";
import { opsKey } from "./support/api.ts";

const apiKeys = [{ name: "ops", key: opsKey }];
const authorization = `Bearer ${opsKey}`;

/** As Hono would call it: `app.all("/v1/*", (c) => api(c.req.raw))`. */
function start(
  options: HubOptions = {},
  more: ApiOptions = {},
): (path: string, init?: RequestInit, facts?: FetchFacts) => Promise<Response> {
  const hub = createHub({ auth: ({ token }) => readToken(token), ...options });
  onTestFinished(() => hub.close({ drainMs: 0 }));
  const api = fetchApi(hub, { apiKeys, ...more });
  return (path, init, facts) => api(new Request(`http://api.example.com${path}`, init), facts);
}

const post = (body: BodyInit, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { authorization, "content-type": "application/json", ...headers },
  body,
});

describe("the API as a function of fetch", () => {
  it("publishes and reads, rooms with slashes too, and opens the hub by itself", async () => {
    const api = start();
    const kept = await api("/v1/rooms/a%2Fb/messages", post('{"event":"said","data":"ü"}', { "idempotency-key": "k" }));
    expect([kept.status, await kept.json()]).toMatchObject([200, { offset: 1 }]);
    const page = await api("/v1/rooms/a%2Fb/messages?limit=1", { headers: { authorization } });
    expect(page.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(await page.json()).toMatchObject({ messages: [{ offset: 1, data: "ü", key: "k" }], more: false });
  });

  it("answers without a body where there is none, and to HEAD", async () => {
    const api = start();
    const gone = await api("/v1/users/ann/connections", { method: "DELETE", headers: { authorization } });
    expect([gone.status, gone.body]).toEqual([204, null]);
    const head = await api("/v1/rooms/a/messages", { method: "HEAD", headers: { authorization } });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  it("has health, and 404 for what is not its own", async () => {
    const api = start();
    expect((await api("/healthz")).status).toBe(200);
    expect((await api("/readyz")).status).toBe(200);
    const other = await api("/orders");
    expect([other.status, await other.json()]).toMatchObject([404, { error: { code: "not_found" } }]);
  });

  it("bounds bodies, told and untold", async () => {
    const api = start();
    expect((await api("/v1/rooms/a/messages", post("x".repeat(70_000)))).status).toBe(413);
    const untold = new Blob(["x".repeat(70_000)]).stream();
    const init = { ...post(untold), duplex: "half" };
    expect((await api("/v1/rooms/a/messages", init)).status).toBe(413);
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) });
    expect((await api("/v1/rooms/a/messages", { ...post(broken), duplex: "half" } as RequestInit)).status).toBe(400);
  });

  it("lets pages of the host that was asked for in, and those on the list", async () => {
    const ask = (origin: string): RequestInit => ({ headers: { authorization, origin } });
    const allowed = async (api: ReturnType<typeof start>, origin: string): Promise<string | null> =>
      (await api("/v1/rooms", ask(origin))).headers.get("access-control-allow-origin");
    expect(await allowed(start(), "http://api.example.com")).toBe("http://api.example.com");
    expect(await allowed(start(), "http://app.example.com")).toBeNull();
    const origins = ["https://app.example.com"];
    expect(await allowed(start({}, { origins }), "https://app.example.com")).toBe("https://app.example.com");
  });

  it("tells the app's auth the address that the host knows", async () => {
    const addresses: string[] = [];
    const api = start({
      auth: (_, { address }) => {
        addresses.push(address);
        return { user: "ann" };
      },
    });
    const init = { headers: { authorization: "Bearer t" } };
    await api("/v1/rooms/a/messages", init, { address: "192.0.2.1" });
    await api("/v1/rooms/a/messages", init);
    expect(addresses).toEqual(["192.0.2.1", ""]);
  });
});
