import { describe, expect, test } from "vitest";
import { httpApi, listener, type HttpApiOptions } from "../../src/http/node.ts";
import { fakeHub, serve } from "./support/fake.ts";

const post = (url: string, headers: Record<string, string> = {}, body?: string): Promise<Response> =>
  fetch(url, { method: "POST", headers, ...(body === undefined ? {} : { body }) });

const start = (hub = fakeHub(), options: HttpApiOptions = {}): Promise<string> =>
  serve(listener(httpApi(hub, options)));

const preflight = (url: string, origin: string): Promise<Response> =>
  fetch(`${url}/v1/tickets`, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST" },
  });

describe("health", () => {
  test("a process that answers is up", async () => {
    const response = await fetch(`${await start()}/healthz`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "up" });
  });

  test("a hub that can serve is ready, whatever the query", async () => {
    const response = await fetch(`${await start()}/readyz?verbose`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ready: true, reasons: [] });
  });

  test("a hub that cannot serve is not, and says why", async () => {
    const hub = fakeHub({ ready: () => Promise.resolve({ ready: false, reasons: ["draining"] }) });
    const response = await fetch(`${await start(hub)}/readyz`);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ ready: false, reasons: ["draining"] });
  });

  test("HEAD is answered without a body", async () => {
    const response = await fetch(`${await start()}/healthz`, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
  });

  test("another method is refused with those allowed", async () => {
    const response = await post(`${await start()}/healthz`);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
  });
});

describe("POST /v1/tickets (P-16)", () => {
  test("a user's token becomes a ticket, which nobody may store", async () => {
    const response = await post(`${await start()}/v1/tickets`, { authorization: "Bearer good" });
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual({ ticket: "ticket-of-ann", expires_at: 30_000 });
  });

  test("the scheme's case does not matter, and a small body is ignored", async () => {
    const response = await post(`${await start()}/v1/tickets`, { authorization: "bearer good" }, "{}");
    expect(response.status).toBe(200);
  });

  test.each<[string, Record<string, string>]>([
    ["no Authorization", {}],
    ["another scheme", { authorization: "Basic good" }],
    ["an unknown token", { authorization: "Bearer bad" }],
    ["two tokens", { authorization: "Bearer good good" }],
  ])("%s is unauthorized", async (_, headers) => {
    const response = await post(`${await start()}/v1/tickets`, headers);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    expect(await response.json()).toMatchObject({ error: { code: "unauthorized" } });
  });

  test("an API key stands for no user", async () => {
    const url = await start(fakeHub(), {
      apiKeys: [
        { name: "other", key: "other" },
        { name: "ops", key: "operator-key" },
      ],
    });
    const response = await post(`${url}/v1/tickets`, { authorization: "Bearer operator-key" });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: "forbidden" } });
  });

  test("a token that cannot be checked now is worth another try", async () => {
    const hub = fakeHub({ authenticate: () => Promise.reject(new Error("key set at 10.0.0.1 is down")) });
    const response = await post(`${await start(hub)}/v1/tickets`, { authorization: "Bearer good" });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
    expect(await response.text()).not.toContain("10.0.0.1");
  });

  test("a body of 10 MB is refused, and the answer arrives", async () => {
    const url = await start();
    const response = await post(`${url}/v1/tickets`, { authorization: "Bearer good" }, "x".repeat(10_000_000));
    expect(response.status).toBe(413);
  });

  test("a body of unknown length is cut off at the bound", async () => {
    const body = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 10; i++) controller.enqueue(new Uint8Array(1_000));
        controller.close();
      },
    });
    const init = { method: "POST", headers: { authorization: "Bearer good" }, body, duplex: "half" };
    const response = await fetch(`${await start()}/v1/tickets`, init);
    expect(response.status).toBe(413);
  });

  test("GET is refused", async () => {
    const response = await fetch(`${await start()}/v1/tickets`);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    expect(await response.json()).toMatchObject({ error: { code: "method_not_allowed" } });
  });
});

describe("pages of other origins (P-80)", () => {
  test("an allowed origin's preflight is granted, and its answer readable", async () => {
    const url = await start(fakeHub(), { origins: ["https://app.example.com"] });
    const granted = await preflight(url, "https://app.example.com");
    expect(granted.status).toBe(204);
    expect(granted.headers.get("access-control-allow-origin")).toBe("https://app.example.com");
    expect(granted.headers.get("access-control-allow-methods")).toBe("POST");
    expect(granted.headers.get("access-control-allow-headers")).toContain("authorization");
    expect(granted.headers.get("access-control-allow-credentials")).toBeNull();

    const answer = await post(`${url}/v1/tickets`, { origin: "https://app.example.com", authorization: "Bearer bad" });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://app.example.com");
  });

  test.each(["https://app.example.com.evil", "https://evilapp.example.com", "null", "http://app.example.com"])(
    "%s is granted nothing",
    async (origin) => {
      const url = await start(fakeHub(), { origins: ["https://app.example.com"] });
      const refused = await preflight(url, origin);
      expect(refused.headers.get("access-control-allow-origin")).toBeNull();
      expect(refused.headers.get("access-control-allow-headers")).toBeNull();
      expect(refused.headers.get("vary")).toBe("origin");
    },
  );

  test("a host under a wildcard is granted, the server's own where there is no list", async () => {
    const listed = await start(fakeHub(), { origins: ["https://*.example.com"] });
    expect((await preflight(listed, "https://a.example.com")).headers.get("access-control-allow-origin")).toBe(
      "https://a.example.com",
    );
    const own = await start();
    expect((await preflight(own, own)).headers.get("access-control-allow-origin")).toBe(own);
    expect((await preflight(own, "https://a.example.com")).headers.get("access-control-allow-origin")).toBeNull();
  });

  test("with * every origin is granted", async () => {
    const granted = await preflight(await start(fakeHub(), { origins: ["*"] }), "https://any.example");
    expect(granted.headers.get("access-control-allow-origin")).toBe("*");
  });
});

describe("all else", () => {
  test("an unknown address is not found, and is not repeated", async () => {
    const response = await fetch(`${await start()}/%3Cimg%20src=x%3E/wsx`);
    expect(response.status).toBe(404);
    expect(await response.text()).not.toContain("img");
  });

  test("a fault of ours is told without its text, and logged by its kind and place", async () => {
    const logged: object[] = [];
    const logger = { warn: () => {}, error: (facts: object) => void logged.push(facts) };
    const fault = new Error("secret detail");
    const url = await start(fakeHub({ ready: () => Promise.reject(fault) }), { logger });
    const response = await fetch(`${url}/readyz`);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: { code: "internal", message: "something went wrong here" } });
    expect(logged).toEqual([
      {
        request: response.headers.get("request-id"),
        method: "GET",
        status: 500,
        error: { type: "Error", at: expect.any(Array) as string[] },
      },
    ]);
    expect((await fetch(`${url}/readyz`)).headers.get("request-id")).not.toBe(response.headers.get("request-id"));
    expect(JSON.stringify(logged)).not.toContain("secret detail");
  });

  test("an app's own server keeps the addresses that are not the hub's", async () => {
    const answer = httpApi(fakeHub());
    const url = await serve((request, response) => {
      void answer(request, response).then((answered) => answered || response.end("the app"));
    });
    expect(await (await fetch(`${url}/orders`)).text()).toBe("the app");
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
