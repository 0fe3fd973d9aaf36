import { describe, expect, test } from "vitest";
import { devToken } from "../../src/http/dev.ts";
import { httpApi, listener } from "../../src/http/node.ts";
import { fakeHub, serve } from "./support/fake.ts";

const start = (): Promise<string> =>
  serve(listener(httpApi(fakeHub(), { extra: [devToken((user) => `token-of-${user}`)] })));

async function ask(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${await start()}/dev/token`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
}

describe("POST /dev/token", () => {
  test("gives a token to whoever asks", async () => {
    const response = await ask('{"user":"ann"}');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ token: "token-of-ann" });
  });

  test("takes a charset, and names beyond ASCII", async () => {
    const response = await ask('{"user":"Zoë"}', { "content-type": "Application/JSON; charset=utf-8" });
    expect(await response.json()).toEqual({ token: "token-of-Zoë" });
  });

  test.each([
    ["no user", "{}"],
    ["an empty name", '{"user":""}'],
    ["an anonymous name", '{"user":"~ann"}'],
    ["a control character", '{"user":"a\\u001bb"}'],
    ["a name too long", JSON.stringify({ user: "x".repeat(255) })],
    ["no string", '{"user":["ann"]}'],
  ])("refuses %s", async (_, body) => {
    const response = await ask(body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "bad_field" } });
  });

  test.each([
    ["no JSON", "user=ann", "bad_frame"],
    ["no object", '["ann"]', "bad_frame"],
    ["brackets without end", "[".repeat(4_000), "too_deep"],
  ])("refuses %s", async (_, body, code) => {
    const response = await ask(body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code } });
  });

  test("refuses bytes that are no UTF-8", async () => {
    expect((await ask(new Uint8Array([0x7b, 0xff, 0x7d]))).status).toBe(400);
  });

  test("refuses another content type and any compression", async () => {
    expect((await ask('{"user":"ann"}', { "content-type": "text/plain" })).status).toBe(415);
    expect((await ask('{"user":"ann"}', { "content-encoding": "gzip" })).status).toBe(415);
  });

  test("refuses more than 4 kB", async () => {
    expect((await ask(`{"user":"ann","more":"${"x".repeat(5_000)}"}`)).status).toBe(413);
  });

  test("is open to every origin", async () => {
    const response = await ask('{"user":"ann"}', { origin: "http://localhost:5173" });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  });
});
