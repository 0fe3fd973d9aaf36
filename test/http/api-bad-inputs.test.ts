import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type Ask, type ApiServer, opsKey, startApi } from "./support/api.ts";
import { sendRaw } from "./support/fake.ts";

const lobby = "/v1/rooms/lobby/messages";
const good = { event: "said", data: 1 };
const json = { "content-type": "application/json" };
const tenMegabytes = "x".repeat(10_000_000);
const bomb = new Uint8Array(gzipSync(Buffer.alloc(50_000_000, " ")));

/** After each: the process lives, another client is served within 100 ms, and nothing was published. */
async function expectUnharmed({ call, hub }: ApiServer): Promise<void> {
  const tookMs: number[] = [];
  // The best of three: a busy machine may be late with one.
  for (let i = 0; i < 3; i++) {
    const before = performance.now();
    const told = await call("GET", lobby, { as: opsKey });
    tookMs.push(performance.now() - before);
    expect(told.json).toMatchObject({ messages: [] });
  }
  expect(Math.min(...tookMs)).toBeLessThan(100);
  expect(hub.counts()).toEqual({ connections: 0, rooms: 0 });
}

interface Row {
  readonly what: string;
  readonly ask: Ask;
  readonly path?: string;
  readonly status: number;
  readonly code: string;
}

const rows: Row[] = [
  { what: "no content type", ask: { body: new Uint8Array([0x7b, 0x7d]) }, status: 415, code: "unsupported_media_type" },
  { what: "text/plain", ask: { body: '{"event":"e"}' }, status: 415, code: "unsupported_media_type" },
  {
    what: "a form",
    ask: { body: "event=e", headers: { "content-type": "application/x-www-form-urlencoded" } },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "an unknown encoding",
    ask: { json: good, headers: { "content-encoding": "br" } },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "gzip upon gzip",
    ask: { json: good, headers: { "content-encoding": "gzip, gzip" } },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "no gzip where gzip is told",
    ask: { json: good, headers: { "content-encoding": "gzip" } },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "a gzip bomb of 50 MB",
    ask: { body: bomb, headers: { ...json, "content-encoding": "gzip" } },
    status: 413,
    code: "too_large",
  },
  { what: "a body of 10 MB", ask: { json: { event: "e", data: tenMegabytes } }, status: 413, code: "too_large" },
  {
    what: "10 MB of unknown length",
    ask: { body: () => new Blob([tenMegabytes]).stream(), headers: json },
    status: 413,
    code: "too_large",
  },
  {
    what: "one byte over the bound",
    ask: { json: { event: "e", data: "x".repeat(65_536 - 22) } },
    status: 413,
    code: "too_large",
  },
  {
    what: "a batch of a million rooms",
    path: "/v1/publish",
    ask: { json: { ...good, rooms: Array.from({ length: 1_000_000 }, (_, i) => `r${i}`) } },
    status: 413,
    code: "too_large",
  },
  {
    what: "a batch of thousands in a body within the bound",
    path: "/v1/publish",
    ask: { json: { ...good, rooms: Array.from({ length: 9_000 }, (_, i) => `r${i}`) } },
    status: 413,
    code: "too_large",
  },
  { what: "an empty body", ask: { body: "", headers: json }, status: 400, code: "bad_frame" },
  { what: "no JSON", ask: { body: "{", headers: json }, status: 400, code: "bad_frame" },
  { what: "null", ask: { json: null }, status: 400, code: "bad_frame" },
  { what: "a list", ask: { json: [good] }, status: 400, code: "bad_frame" },
  {
    what: "bytes that are no UTF-8",
    ask: { body: new Uint8Array([0xff]), headers: json },
    status: 400,
    code: "bad_frame",
  },
  { what: "8 KB of [", ask: { body: "[".repeat(8_192), headers: json }, status: 400, code: "too_deep" },
  {
    what: "data nested 33 deep with the body",
    ask: { body: `{"event":"e","data":${"[".repeat(32)}${"]".repeat(32)}}`, headers: json },
    status: 400,
    code: "too_deep",
  },
  { what: "1e400", ask: { body: '{"event":"e","data":1e400}', headers: json }, status: 400, code: "bad_field" },
  { what: "no event", ask: { json: { data: 1 } }, status: 400, code: "bad_field" },
  { what: "event null", ask: { json: { event: null } }, status: 400, code: "bad_field" },
  { what: "event 1", ask: { json: { event: 1 } }, status: 400, code: "bad_field" },
  { what: "event empty", ask: { json: { event: "" } }, status: 400, code: "bad_field" },
  { what: "event of 65 characters", ask: { json: { event: "e".repeat(65) } }, status: 400, code: "bad_field" },
  { what: "user null", ask: { json: { ...good, user: null } }, status: 400, code: "bad_field" },
  {
    what: "user with a control character",
    ask: { json: { ...good, user: "a\u001b[2J" } },
    status: 400,
    code: "bad_field",
  },
  { what: "user of 255 bytes", ask: { json: { ...good, user: "x".repeat(255) } }, status: 400, code: "bad_field" },
  { what: "except []", ask: { json: { ...good, except: [] } }, status: 400, code: "bad_field" },
  { what: "except with a line break", ask: { json: { ...good, except: "a\nb" } }, status: 400, code: "bad_field" },
  {
    what: "fields inherited from __proto__",
    ask: { body: '{"__proto__":{"event":"e"}}', headers: json },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a room of 256 bytes",
    path: `/v1/rooms/${"x".repeat(256)}/messages`,
    ask: { json: good },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a room that is not NFC",
    path: "/v1/rooms/e%CC%81/messages",
    ask: { json: good },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a room with a control character",
    path: "/v1/rooms/%1b%5b2J%0d%0a/messages",
    ask: { json: good },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a room of broken escapes",
    path: "/v1/rooms/%zz/messages",
    ask: { json: good },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a room of bytes that are no UTF-8",
    path: "/v1/rooms/%ff/messages",
    ask: { json: good },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a user of broken escapes",
    path: "/v1/users/%zz/messages",
    ask: { json: good },
    status: 400,
    code: "bad_field",
  },
  {
    what: "a room that begins with $",
    path: "/v1/rooms/%24x/messages",
    ask: { json: good },
    status: 403,
    code: "forbidden",
  },
];

describe("a bad request", () => {
  it.each(rows)("with $what is $status $code, and harms nobody", async ({ ask, path = lobby, status, code }) => {
    const server = await startApi();
    const told = await server.call("POST", path, { as: opsKey, ...ask });
    expect([told.status, told.json]).toMatchObject([status, { error: { code } }]);
    // Nothing of it is repeated.
    expect(told.text.length).toBeLessThan(200);
    expect(told.text).not.toMatch(/\[2J|xxxx/);
    await expectUnharmed(server);
  });

  it.each(rows.slice(0, 12))("with $what is only 401 without a key", async ({ ask, path = lobby }) => {
    const server = await startApi();
    const told = await server.call("POST", path, ask);
    expect(told.status).toBe(401);
    await expectUnharmed(server);
  });

  it("names the field at fault, and not its value", async () => {
    const { call } = await startApi();
    const told = await call("POST", lobby, { as: opsKey, json: { event: "<img src=x>".repeat(10) } });
    expect(told.json).toMatchObject({ error: { message: "event must be a string of 1 to 64 characters" } });
  });

  it("that breaks off in its body is nobody's failure", async () => {
    const server = await startApi();
    const { host } = new URL(server.url);
    const head = `POST ${lobby} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${opsKey}\r\n`;
    await sendRaw(server.url, `${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"event":`);
    await expectUnharmed(server);
    expect(server.logged.filter((line) => /^(warn|error)/.test(line))).toEqual([]);
  });

  it("with two Authorization headers is 401: neither of them counts", async () => {
    const { url } = await startApi();
    const bearer = `Authorization: Bearer ${opsKey}\r\n`;
    const answer = await sendRaw(
      url,
      `GET /v1/rooms HTTP/1.1\r\nHost: x\r\n${bearer}${bearer}Connection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
  });
});

describe("a good request", () => {
  it("may be of the largest size, and gzip", async () => {
    const { call } = await startApi();
    const largest = JSON.stringify({ event: "e", data: "x".repeat(65_536 - 23) });
    expect(Buffer.byteLength(largest)).toBe(65_536);
    expect((await call("POST", lobby, { as: opsKey, body: largest, headers: json })).json).toMatchObject({ offset: 1 });
    const packed = new Uint8Array(gzipSync(largest));
    const headers = { ...json, "content-encoding": "gzip" };
    expect((await call("POST", lobby, { as: opsKey, body: packed, headers })).json).toMatchObject({ offset: 2 });
  });

  it("may have fields that are not known yet (P-1), and any name of event, room and user", async () => {
    const { call } = await startApi();
    for (const name of [
      "__proto__",
      "constructor",
      "toString",
      "..%2f..",
      "<img src=x onerror=alert(1)>",
      "Zoë",
      "💥",
    ]) {
      const path = `/v1/rooms/${encodeURIComponent(name)}/messages`;
      const told = await call("POST", path, {
        as: opsKey,
        json: { event: name, user: name, data: { [name]: 1 }, later: true },
      });
      expect(told.json).toMatchObject({ offset: 1 });
      const page = await call("GET", path, { as: opsKey });
      expect(page.json).toMatchObject({ messages: [{ event: name, from: name }] });
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("gives the same bytes for a lone surrogate live and from the log", async () => {
    const { call, member } = await startApi();
    const ann = await member("ann", "lobby");
    await call("POST", lobby, { as: opsKey, body: String.raw`{"event":"e","data":"\ud800"}`, headers: json });
    await ann.expect({ type: "message" });
    expect(ann.log.at(-1)).toContain(String.raw`"data":"\ud800"`);
    expect((await call("GET", lobby, { as: opsKey })).text).toContain(String.raw`"data":"\ud800"`);
  });
});
