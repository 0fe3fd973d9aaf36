import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { rawConnect, upgradeText, type RawPeer } from "../support/raw.ts";
import { endServer, startServer, testApiKey, type TestServer } from "../support/server.ts";
import { connectAs } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

const megabyte = 1_048_576;
const lobby = "/v1/rooms/lobby/messages";
const token = makeToken({ sub: "ann", rooms: ["**"] });

let server: TestServer;
let witness: Witness;
let peer: RawPeer;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--limit", "grace_ms=0"])));
afterAll(() => endServer(server));
beforeEach(async () => {
  witness = await Witness.of(server);
  peer = await rawConnect(server);
});
afterEach(async () => {
  peer.destroy();
  await witness.sees();
  witness.end();
});

interface Row {
  readonly name: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: string | Buffer;
  readonly status: number;
}

async function post({ path = lobby, headers = {}, body = "" }: Omit<Row, "name" | "status">): Promise<number> {
  const all = {
    Host: server.host,
    Authorization: `Bearer ${testApiKey}`,
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: "close",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  peer.write(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  peer.write(body);
  return (await peer.head()).status;
}

const good = '{"event":"e","data":1}';
const bomb = gzipSync(Buffer.alloc(50 * megabyte, " "));
const batchOf = (count: number): string =>
  JSON.stringify({ event: "e", rooms: Array.from({ length: count }, (_, i) => `r${i}`) });

const calls: readonly Row[] = [
  { name: "the wrong content type", headers: { "Content-Type": "text/plain" }, body: good, status: 415 },
  { name: "no content type", headers: { "Content-Type": undefined }, body: good, status: 415 },
  { name: "a gzip bomb", headers: { "Content-Encoding": "gzip" }, body: bomb, status: 413 },
  { name: "a batch of a million", path: "/v1/publish", body: batchOf(1_000_000), status: 413 },
  { name: "a batch of 9,000, which fits", path: "/v1/publish", body: batchOf(9_000), status: 413 },
  { name: "a body of 10 MB", body: `{"event":"e","data":"${"x".repeat(10 * megabyte)}"}`, status: 413 },
  { name: "10 MB declared and never sent", headers: { "Content-Length": String(10 * megabyte) }, status: 413 },
  { name: "no key", headers: { Authorization: undefined }, body: good, status: 401 },
  { name: "the wrong key", headers: { Authorization: `Bearer ${testApiKey}x` }, body: good, status: 401 },
  { name: "the key but for its end", headers: { Authorization: `Bearer ${testApiKey.slice(0, -1)}` }, status: 401 },
  { name: "two keys", headers: { Authorization: [`Bearer ${testApiKey}`, "Bearer x"] }, body: good, status: 401 },
  {
    name: "the key in the query",
    path: `${lobby}?token=${testApiKey}`,
    headers: { Authorization: undefined },
    status: 401,
  },
  { name: "a length and chunks", headers: { "Transfer-Encoding": "chunked" }, body: good, status: 400 },
  { name: "two lengths", headers: { "Content-Length": ["22", "0"] }, body: good, status: 400 },
  {
    name: "chunks that are none",
    headers: { "Content-Length": undefined, "Transfer-Encoding": "chunked" },
    body: "zz\r\n",
    status: 400,
  },
  { name: "a header with a line feed alone", headers: { "X-A": "a\nX-B: b" }, body: good, status: 400 },
  { name: "a room that clears the screen", path: "/v1/rooms/%1b[2J%0d%0a/messages", body: good, status: 400 },
  {
    name: "a room named __proto__, with data of it",
    path: "/v1/rooms/__proto__/messages",
    body: '{"event":"__proto__","data":{"__proto__":{"polluted":1}}}',
    status: 200,
  },
  { name: "8 kB of [", body: "[".repeat(8_192), status: 400 },
  { name: "1e400", body: '{"event":"e","data":1e400}', status: 400 },
];

describe("an HTTP call", () => {
  it.each(calls)("with $name gets $status", async (row) => {
    const before = server.rssBytes();
    expect(await post(row)).toBe(row.status);
    expect(server.rssBytes() - before).toBeLessThan(128 * megabyte);
  });

  it("that answers before the body has come does not wait for it", async () => {
    const startedAt = performance.now();
    expect(await post({ headers: { "Content-Length": "60000", Authorization: "Bearer x" } })).toBe(401);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

describe("a request that hides another", () => {
  it("behind a length and chunks: what is hidden is never run", async () => {
    const secret = "smuggled-room";
    const hidden = `POST /v1/rooms/${secret}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${testApiKey}\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n${good}`;
    const head = `POST /v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Length: ${hidden.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    peer.write(`${head}0\r\n\r\n${hidden}`);
    expect((await peer.head()).status).toBe(400);
    await peer.ended();
    const reader = await connectAs(server, "ann");
    reader.send({ type: "history", id: "1", room: secret, limit: 1 });
    await reader.expect({ type: "history", messages: [] });
    await reader.close();
  });
});

describe("a stream", () => {
  it.each([
    { name: "control bytes", id: "1\u0001\u001b[2J", status: 400 },
    { name: "10 KB", id: `1${"~kq0v3c8mYt2n.e.1".repeat(600)}`, status: 400 },
    { name: "an offset over 2^53-1", id: "1~kq0v3c8mYt2n.e.9007199254740993", status: 400 },
    { name: "a future offset", id: "1~kq0v3c8mYt2n.e.900", status: 200 },
  ])("with a Last-Event-ID of $name gets $status", async ({ id, status }) => {
    peer.write(`GET /sse?room=a&token=${token} HTTP/1.1\r\nHost: ${server.host}\r\nLast-Event-ID: ${id}\r\n\r\n`);
    expect((await peer.head()).status).toBe(status);
  });
});

describe("a cursor in the path's query", () => {
  it.each([
    { since: "", told: "bad_field" },
    { since: "a%00:1", told: "bad_field" },
    { since: "a:1&since=b:2", told: "joined" },
  ])("of $since is told in a frame, and the room is joined (P-10)", async ({ since }) => {
    peer.write(upgradeText(server, { path: `/ws/lobby?token=${token}&since=${since}` }));
    expect((await peer.head()).status).toBe(101);
    expect(await peer.nextJson()).toMatchObject({ type: "welcome" });
    const told = [await peer.nextJson()];
    while (told.at(-1)?.["type"] !== "joined") told.push(await peer.nextJson());
    expect(told.at(-1)).toMatchObject({ room: "lobby" });
    expect(told.length).toBeLessThanOrEqual(2);
  });
});

describe("since", () => {
  it.each([
    { name: "ahead of the head", cursorOf: (epoch: string) => `${epoch}:900` },
    { name: "of another epoch", cursorOf: () => "another:1" },
    { name: "at the last offset there is", cursorOf: (epoch: string) => `${epoch}:9007199254740991` },
  ])("$name is not recovered, and the head is told", async ({ name, cursorOf }) => {
    const reader = await connectAs(server, "ann");
    const room = `since ${name}`;
    reader.send({ type: "join", room });
    const joined = await reader.expect({ type: "joined", room });
    const cursor = String(joined["cursor"]);
    reader.send({ type: "join", room, since: cursorOf(cursor.split(":")[0] ?? "") });
    await reader.expect({ type: "joined", room, recovered: false, replay: 0, cursor });
    await reader.close();
  });
});
