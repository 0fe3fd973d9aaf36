import { beforeAll, describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../../src/protocol/json.ts";
import { fetchApi } from "../../src/http/fetch.ts";
import { createHub } from "../../src/server/index.ts";
import { messageFields } from "../../src/http/api/messages.ts";
import { opsKey, startApi, type Ask } from "./support/api.ts";
import { ApiDocument } from "./support/document.ts";
import { faultOf } from "./support/schema.ts";

const json = { event: "said", data: 1 };

/** One call of each operation that goes well; whatever comes back is held against the document by `call`. */
const wellDone: Readonly<Record<string, [string, string, Ask, number]>> = {
  publish: ["POST", "/v1/rooms/lobby/messages", { as: "ann", json, headers: { "idempotency-key": "k" } }, 200],
  history: ["GET", "/v1/rooms/lobby/messages?limit=10", { as: "ann" }, 200],
  signal: ["POST", "/v1/rooms/lobby/signals", { as: "ann", json }, 202],
  publishToMany: ["POST", "/v1/publish", { as: opsKey, json: { ...json, rooms: ["lobby", "$x"] } }, 200],
  members: ["GET", "/v1/rooms/lobby/members", { as: "ann" }, 200],
  rooms: ["GET", "/v1/rooms", { as: opsKey }, 200],
  publishToUser: ["POST", "/v1/users/ann/messages", { as: opsKey, json }, 200],
  remove: ["DELETE", "/v1/rooms/lobby/members/ann", { as: opsKey }, 204],
  disconnect: ["DELETE", "/v1/users/ann/connections", { as: opsKey }, 204],
  createTicket: ["POST", "/v1/tickets", { as: "ann" }, 200],
  health: ["GET", "/healthz", {}, 200],
  readiness: ["GET", "/readyz", {}, 200],
  document: ["GET", "/v1/openapi.json", {}, 200],
};

let text: JsonObject;
let document: ApiDocument;
beforeAll(async () => {
  text = (await (await fetchApi(createHub())(new Request("http://api/v1/openapi.json"))).json()) as JsonObject;
  document = new ApiDocument(text);
});

/** Every object in the document, with the names that lead to it. */
function* objectsIn(value: Json, path: string[] = []): Generator<[string[], JsonObject]> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield [path, value];
  for (const [name, inner] of Object.entries(value)) yield* objectsIn(inner, [...path, name]);
}

describe("the OpenAPI document", () => {
  it("is OpenAPI 3.1, and anyone may read it", () => {
    expect(text).toMatchObject({ openapi: "3.1.0", info: { title: "Fanfare", version: "1" } });
  });

  it("has each operation once, and each is tried here", () => {
    expect(document.operations.map(({ id }) => id).sort()).toEqual(Object.keys(wellDone).sort());
  });

  it("has all calls of P-80 that there are", () => {
    expect(document.operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      "DELETE /v1/rooms/{room}/members/{user}",
      "DELETE /v1/users/{user}/connections",
      "GET /healthz",
      "GET /readyz",
      "GET /v1/openapi.json",
      "GET /v1/rooms",
      "GET /v1/rooms/{room}/members",
      "GET /v1/rooms/{room}/messages",
      "POST /v1/publish",
      "POST /v1/rooms/{room}/messages",
      "POST /v1/rooms/{room}/signals",
      "POST /v1/tickets",
      "POST /v1/users/{user}/messages",
    ]);
  });

  it("declares every name in braces, and refers to nothing that is missing", () => {
    for (const [path, methods] of Object.entries(text["paths"] as Record<string, Record<string, JsonObject>>)) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const { parameters = [] } of Object.values(methods)) {
        const declared = (parameters as JsonObject[]).filter((parameter) => parameter["in"] === "path");
        expect(declared).toEqual(names.map((name) => expect.objectContaining({ name, required: true }) as unknown));
      }
    }
    const refs = [...objectsIn(text)].flatMap(([, object]) => (typeof object["$ref"] === "string" ? [object] : []));
    expect(refs.length).toBeGreaterThan(10);
    for (const ref of refs) expect(() => faultOf("", ref, text)).not.toThrow();
  });

  it("says of a message's fields what the calls take", () => {
    const path = (text["paths"] as Record<string, JsonObject>)["/v1/rooms/{room}/messages"];
    expect(path).toMatchObject({
      post: { requestBody: { content: { "application/json": { schema: { required: ["event"] } } } } },
    });
    expect(Object.keys(messageFields)).toEqual(["event", "data", "user", "except"]);
  });
});

describe("an answer", () => {
  it.each(Object.entries(wellDone).map(([id, [method, path, ask, status]]) => ({ id, method, path, ask, status })))(
    "to $id is as the document says",
    async ({ method, path, ask, status }) => {
      const { call, member, hub } = await startApi();
      await hub.start();
      await hub.room("lobby").publish("said", 0, { from: "ann", key: "k" });
      await member("ann", "lobby", { data: { name: "Ann" } });
      expect((await call(method, path, ask)).status).toBe(status);
    },
  );

  it("that is not as the document says is found out", () => {
    const history = { method: "GET", path: "/v1/rooms/a/messages" };
    const type = "application/json";
    const good = { messages: [{ offset: 1, event: "e", data: null, at: 1 }], cursor: "e:1", more: false };
    const fault = (value: object): string | undefined => document.faultOf(history, 200, type, JSON.stringify(value));
    expect(fault(good)).toBeUndefined();
    expect(fault({ ...good, cursor: "e" })).toBe("$.cursor has another form");
    expect(fault({ ...good, more: undefined })).toBe("$.more is missing");
    expect(fault({ ...good, total: 1 })).toBe("$.total is not in the document");
    expect(fault({ ...good, messages: [{ event: "e", data: null, at: 1 }] })).toBe("$.messages[0].offset is missing");
    expect(document.faultOf(history, 201, type, JSON.stringify(good))).toBe("status 201 is not told");
    expect(document.faultOf(history, 200, "text/html", JSON.stringify(good))).toBe(
      "type text/html is not application/json",
    );
    expect(document.faultOf(history, 404, type, '{"error":{"code":"lost","message":""}}')).toBe(
      "$.error.code is not listed",
    );
  });
});
