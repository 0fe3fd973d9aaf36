import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAs } from "../support/socket.ts";
import { endServer, startServer, testApiKey, testOrigin, type TestServer } from "../support/server.ts";
import { makeToken } from "../support/token.ts";
import { type ApiServer, type Ask, caller } from "./support/api.ts";

const secondKey = "base64-of-some-kind==";
const ops = { authorization: `Bearer ${testApiKey}` };
const json = { event: "said", data: { text: "hi" } };

let server: TestServer;
let call: ApiServer["call"];
beforeAll(async () => {
  server = await startServer(["--backend", "memory", "--api-key", `second=${secondKey}`]);
  call = caller(`http://${server.host}`);
});
afterAll(() => endServer(server));

describe("fanfare serve", () => {
  it("publishes what comes over HTTP to who is connected", async () => {
    const ann = await connectAs(server, "ann");
    ann.send({ type: "join", room: "orders/42" });
    await ann.expect({ type: "joined" });
    const told = await call("POST", "/v1/rooms/orders%2F42/messages", { headers: ops, json });
    expect(told.json).toMatchObject({ offset: 1 });
    await ann.expect({ type: "message", room: "orders/42", ...json, offset: 1 });
    expect((await call("GET", "/v1/rooms/orders%2F42/members", { headers: ops })).json).toMatchObject({ members: 1 });
    await ann.close();
  });

  it("knows every API key it was given, and a user's token by its rights", async () => {
    const second = { authorization: `Bearer ${secondKey}` };
    expect((await call("GET", "/v1/rooms", { headers: second })).status).toBe(200);
    const headers = { authorization: `Bearer ${makeToken({ sub: "ann", rooms: ["orders/*"] })}` };
    expect((await call("POST", "/v1/rooms/orders%2F1/messages", { headers, json })).status).toBe(200);
    expect((await call("POST", "/v1/rooms/news/messages", { headers, json })).status).toBe(403);
    expect((await call("GET", "/v1/rooms", { headers })).status).toBe(403);
    expect((await call("GET", "/v1/rooms", { headers: { authorization: "Bearer wrong" } })).status).toBe(401);
  });

  it("closes a user's connections with 4003 and takes out of rooms", async () => {
    const ann = await connectAs(server, "ann");
    ann.send({ type: "join", room: "lobby" });
    await ann.expect({ type: "joined" });
    await call("DELETE", "/v1/rooms/lobby/members/ann", { headers: ops });
    await ann.expect({ type: "left", room: "lobby", reason: "removed" });
    await call("DELETE", "/v1/users/ann/connections", { headers: ops });
    await ann.expectClose(4003);
  });

  it("lets pages of its origins call", async () => {
    const headers = { origin: testOrigin, "access-control-request-method": "POST" };
    const granted = await call("OPTIONS", "/v1/publish", { headers });
    expect(granted.headers.get("access-control-allow-origin")).toBe(testOrigin);
  });

  it.each<{ what: string; path: string; ask: Ask; status: number }>([
    {
      what: "a wrong content type",
      path: "/v1/rooms/a/messages",
      ask: { headers: { ...ops, "content-type": "text/plain" }, body: JSON.stringify(json) },
      status: 415,
    },
    {
      what: "a gzip bomb",
      path: "/v1/rooms/a/messages",
      ask: {
        headers: { ...ops, "content-type": "application/json", "content-encoding": "gzip" },
        body: new Uint8Array(gzipSync(Buffer.alloc(60_000_000, " "))),
      },
      status: 413,
    },
    {
      what: "a batch of a million",
      path: "/v1/publish",
      ask: { headers: ops, json: { ...json, rooms: Array.from({ length: 1_000_000 }, (_, i) => `r${i}`) } },
      status: 413,
    },
    {
      what: "a body of 10 MB",
      path: "/v1/rooms/a/messages",
      ask: { headers: ops, json: { event: "e", data: "x".repeat(10_000_000) } },
      status: 413,
    },
    { what: "no key", path: "/v1/rooms/a/messages", ask: { json }, status: 401 },
    {
      what: "a wrong key",
      path: "/v1/rooms/a/messages",
      ask: { json, headers: { authorization: `Bearer ${testApiKey}x` } },
      status: 401,
    },
  ])("answers $what with $status, and serves its neighbour in time", async ({ path, ask, status }) => {
    const neighbour = await connectAs(server, "neighbour");
    const rssBytes = server.rssBytes();
    for (let i = 0; i < 5; i++) expect((await call("POST", path, ask)).status).toBe(status);
    neighbour.send({ type: "ping", id: "still-there" });
    await neighbour.expect({ type: "pong", re: "still-there" }, new Map(), 100);
    expect(server.alive).toBe(true);
    // Five bombs or batches that were built would be 300 MB.
    expect(server.rssBytes() - rssBytes).toBeLessThan(60_000_000);
    expect((await call("GET", "/v1/rooms/a/messages", { headers: ops })).json).toMatchObject({ messages: [] });
    await neighbour.close();
  });

  it("writes no key, token or text from outside to its log", async () => {
    const canary = "canary\u001b[2J";
    const headers = { authorization: "Bearer canary-token", "idempotency-key": "canary" };
    await call("POST", `/v1/rooms/${encodeURIComponent(canary)}/messages?canary=1`, {
      headers,
      json: { event: "canary" },
    });
    await call("POST", `/v1/rooms/${encodeURIComponent(canary)}/messages`, { headers: ops, json: { event: "canary" } });
    expect(server.output).toContain("Fanfare listens");
    expect(server.output).not.toMatch(new RegExp(`canary|${testApiKey}|${secondKey}`));
  });
});
