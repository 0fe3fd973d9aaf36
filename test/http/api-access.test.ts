import { describe, expect, it } from "vitest";
import { httpApi } from "../../src/http/node.ts";
import { createHub, memory, type Backend } from "../../src/server/index.ts";
import { opsKey, otherKey, startApi } from "./support/api.ts";

const said = { event: "said", data: 1 };
const lobby = "/v1/rooms/lobby/messages";

/** Every call below /v1 that wants to know who asks. */
const calls = [
  ["POST", lobby],
  ["GET", lobby],
  ["POST", "/v1/rooms/lobby/signals"],
  ["POST", "/v1/publish"],
  ["GET", "/v1/rooms/lobby/members"],
  ["GET", "/v1/rooms"],
  ["POST", "/v1/users/ann/messages"],
  ["DELETE", "/v1/users/ann/connections"],
  ["DELETE", "/v1/rooms/lobby/members/ann"],
  ["POST", "/v1/tickets"],
] as const;

describe("who is nobody", () => {
  it.each(calls)("gets 401 for %s %s, whatever the request holds", async (method, path) => {
    const { call } = await startApi();
    for (const authorization of [
      undefined,
      "Bearer bad",
      "Basic b3Bz",
      "Bearer",
      `Bearer ${opsKey} ${opsKey}`,
      opsKey,
    ]) {
      const told = await call(method, path, { headers: authorization === undefined ? {} : { authorization } });
      expect([told.status, told.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
      expect(told.json).toMatchObject({ error: { code: "unauthorized" } });
    }
  });

  it("is not let in by a token in the query or a cookie", async () => {
    const { call } = await startApi({ cookie: "session" });
    const told = await call("GET", `${lobby}?token=ann&ticket=ann`, { headers: { cookie: "session=ann" } });
    expect(told.status).toBe(401);
  });

  it("is not let in by a key that is nearly right", async () => {
    const { call } = await startApi();
    for (const key of [opsKey.slice(0, -1), `${opsKey}x`, opsKey.toUpperCase(), "ops"]) {
      const told = await call("GET", "/v1/rooms", { headers: { authorization: `Bearer ${key}` } });
      // By the tokens of these tests a plain word is a user: a user, then, and no operator.
      expect(told.status).toBe(403);
    }
  });
});

describe("a user's token", () => {
  it.each([
    ["GET", "/v1/rooms"],
    ["POST", "/v1/users/ann/messages"],
    ["DELETE", "/v1/users/ann/connections"],
    ["DELETE", "/v1/rooms/lobby/members/ann"],
  ])("is not for %s %s: 403, even with all rights and about oneself", async (method, path) => {
    const { call } = await startApi();
    const told = await call(method, path, { as: "ann" });
    expect([told.status, told.json]).toMatchObject([403, { error: { code: "forbidden" } }]);
  });

  it("whose check never ends is answered in time", async () => {
    const { call } = await startApi({ auth: () => new Promise<never>(() => undefined), limits: { authWithinMs: 50 } });
    const told = await call("GET", lobby, { as: "ann" });
    expect([told.status, told.json]).toMatchObject([503, { error: { code: "unavailable" } }]);
  });

  it("that cannot be checked now is worth another try", async () => {
    const { call, logged } = await startApi({ auth: () => Promise.reject(new Error("keys at 10.0.0.1 are down")) });
    const told = await call("GET", lobby, { as: "ann" });
    expect([told.status, told.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(told.text).not.toContain("10.0.0.1");
    expect(logged).toContain("warn an HTTP call could not be answered");
    expect((await call("GET", lobby, { as: opsKey })).status).toBe(200);
  });

  it("is told to the app's auth with the request's facts", async () => {
    const facts: unknown[] = [];
    const { call } = await startApi({
      auth: ({ kind, token }, { path, query, address, headers }) => {
        facts.push([kind, token, path, query.get("limit"), address, headers["x-app"]]);
        return { user: "ann" };
      },
    });
    await call("GET", `${lobby}?limit=1`, { as: "t", headers: { "x-app": "1" } });
    expect(facts).toEqual([["bearer", "t", lobby, "1", "127.0.0.1", "1"]]);
  });
});

describe("API keys", () => {
  it("are several, each with all rights, and make no tickets", async () => {
    const { call } = await startApi();
    for (const as of [opsKey, otherKey]) {
      expect((await call("GET", "/v1/rooms", { as })).status).toBe(200);
      expect((await call("POST", "/v1/tickets", { as })).status).toBe(403);
    }
  });

  it("beyond ASCII are compared by their bytes", async () => {
    const { call } = await startApi({}, { apiKeys: [{ name: "uni", key: "schlüssel" }] });
    const bytes = Buffer.from("schlüssel").toString("latin1");
    expect((await call("GET", "/v1/rooms", { headers: { authorization: `Bearer ${bytes}` } })).status).toBe(200);
  });

  it.each(["", " ", "a b", "a,b", "a\n"])("of the form %j are refused at once, without being told", (key) => {
    expect(() => httpApi(createHub({ backend: memory() }), { apiKeys: [{ name: "bad", key }] })).toThrow(
      'the API key "bad" must be text without spaces or commas',
    );
  });
});

describe("a hub whose backend is away", () => {
  it("answers 503 and stays up", async () => {
    const backend = memory();
    const closed = Object.assign(Object.create(backend) as Backend, {
      open: () => Promise.reject(new Error("/var/x is locked")),
      close: () => Promise.resolve(),
    });
    const { call } = await startApi({ backend: closed });
    const told = await call("POST", lobby, { as: opsKey, json: said });
    expect([told.status, told.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(told.json).toMatchObject({ error: { code: "unavailable" } });
    expect(told.text).not.toContain("/var/x");
    expect((await call("GET", "/healthz")).status).toBe(200);
    expect((await call("GET", "/readyz")).status).toBe(503);
  });
});

describe("methods", () => {
  it.each([
    ["PUT", lobby, "POST, GET, HEAD"],
    ["PATCH", "/v1/rooms/lobby/signals", "POST"],
    ["POST", "/v1/rooms", "GET, HEAD"],
    ["GET", "/v1/users/ann/connections", "DELETE"],
    ["DELETE", "/v1/openapi.json", "GET, HEAD"],
  ])("%s %s is 405, and told what is taken", async (method, path, allow) => {
    const { call } = await startApi();
    const told = await call(method, path, { as: opsKey });
    expect([told.status, told.headers.get("allow")]).toEqual([405, allow]);
    expect(told.json).toMatchObject({ error: { code: "method_not_allowed" } });
    const asked = await call("OPTIONS", path);
    expect([asked.status, asked.headers.get("allow"), asked.text]).toEqual([204, allow, ""]);
  });

  it.each(["/v1", "/v1/", "/v1/rooms/", "/v1/rooms//messages", "/v1/rooms/a/b/messages", "/v2/rooms", "/v1/ROOMS"])(
    "nothing is at %s",
    async (path) => {
      const { call } = await startApi();
      const told = await call("GET", path, { as: opsKey });
      expect([told.status, told.json]).toMatchObject([404, { error: { code: "not_found" } }]);
    },
  );
});

describe("pages of other origins (P-80)", () => {
  const origin = "https://app.example.com";
  const preflight = {
    origin,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
  };

  it.each(calls)("may ask for %s %s where the origin is allowed, without credentials", async (method, path) => {
    const { call } = await startApi({}, { origins: [origin] });
    const granted = await call("OPTIONS", path, { headers: preflight });
    expect(granted.status).toBe(204);
    expect(granted.headers.get("access-control-allow-origin")).toBe(origin);
    expect(granted.headers.get("access-control-allow-methods")?.split(", ")).toContain(method);
    expect(granted.headers.get("access-control-allow-headers")).toBe("authorization, content-type, idempotency-key");
    expect(granted.headers.get("access-control-allow-credentials")).toBeNull();
    expect(granted.headers.get("vary")).toBe("origin");
  });

  it("read answers and refusals alike, and when to try again", async () => {
    const { call } = await startApi({}, { origins: [origin] });
    for (const as of [opsKey, "bad"]) {
      const told = await call("GET", lobby, { as, headers: { origin } });
      expect(told.headers.get("access-control-allow-origin")).toBe(origin);
      expect(told.headers.get("access-control-expose-headers")).toBe("retry-after, request-id");
      expect(told.headers.get("access-control-allow-credentials")).toBeNull();
    }
  });

  it("are granted nothing where the origin is not on the list", async () => {
    const { call } = await startApi({}, { origins: [origin] });
    for (const other of ["https://app.example.com.evil", "null", "http://app.example.com"]) {
      const refused = await call("OPTIONS", lobby, { headers: { ...preflight, origin: other } });
      expect(refused.headers.get("access-control-allow-origin")).toBeNull();
      expect(refused.headers.get("access-control-allow-methods")).toBeNull();
    }
  });
});
