import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { rawConnect, upgradeText, type RawPeer } from "../support/raw.ts";
import { endServer, startServer, testOrigin, type TestServer } from "../support/server.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

type Upgrade = Parameters<typeof upgradeText>[1];

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

async function answer(options: Upgrade, after = ""): Promise<{ status: number; text: string }> {
  peer.write(upgradeText(server, options) + after);
  return peer.head();
}

const path = (): string => `/ws?token=${makeToken({ sub: "ann" })}`;

it("the same handshake without a fault is let in", async () => {
  expect((await answer({ path: path(), headers: { Origin: testOrigin } })).status).toBe(101);
});

it.each([
  { name: "Firefox's Connection", headers: { Connection: "keep-alive, Upgrade" } },
  { name: "capitals", headers: { Upgrade: "WebSocket", Connection: "UPGRADE" } },
  {
    name: "an extension that we do not offer",
    headers: { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" },
  },
])("$name is let in", async ({ headers }) => {
  const { status, text } = await answer({ path: path(), headers });
  expect(status).toBe(101);
  expect(text).not.toMatch(/^sec-websocket-extensions/im);
});

it("where only a credential is offered, no subprotocol is selected (P-2)", async () => {
  const token = makeToken({ sub: "ann" });
  const { status, text } = await answer({ headers: { "Sec-WebSocket-Protocol": `fanfare.token.${token}` } });
  expect(status).toBe(101);
  expect(text).not.toMatch(/^sec-websocket-protocol/im);
  expect(await peer.nextJson()).toMatchObject({ type: "welcome", user: "ann" });
});

const notUpgrades: { name: string; options: Upgrade; status: number }[] = [
  { name: "no Upgrade", options: { headers: { Upgrade: undefined, Connection: undefined } }, status: 426 },
  { name: "an Upgrade to something else", options: { headers: { Upgrade: "h2c" } }, status: 426 },
  { name: "HTTP/1.0", options: { version: "1.0" }, status: 400 },
  { name: "two Host headers", options: { headers: { Host: ["a.example.com", "b.example.com"] } }, status: 400 },
  { name: "version 8", options: { headers: { "Sec-WebSocket-Version": "8" } }, status: 426 },
  { name: "version 12", options: { headers: { "Sec-WebSocket-Version": "12" } }, status: 426 },
  { name: "no version", options: { headers: { "Sec-WebSocket-Version": undefined } }, status: 426 },
  { name: "no key", options: { headers: { "Sec-WebSocket-Key": undefined } }, status: 400 },
  { name: "a short key", options: { headers: { "Sec-WebSocket-Key": "c2hvcnQ=" } }, status: 400 },
  { name: "the subprotocol a,,b", options: { headers: { "Sec-WebSocket-Protocol": "a,,b" } }, status: 400 },
  { name: "the extension __proto__", options: { headers: { "Sec-WebSocket-Extensions": "__proto__" } }, status: 400 },
];

describe("what is no lawful upgrade", () => {
  it.each(notUpgrades)("$name gets $status", async ({ options, status }) => {
    expect((await answer({ path: path(), ...options })).status).toBe(status);
    await peer.ended();
  });

  it("an unknown version is told the known one", async () => {
    const { text } = await answer({ path: path(), headers: { "Sec-WebSocket-Version": "8" } });
    expect(text).toMatch(/^sec-websocket-version: 13$/im);
  });

  it.each([
    { name: "a body by length", headers: { "Content-Length": "5" }, body: "hello" },
    { name: "a body in chunks", headers: { "Transfer-Encoding": "chunked" }, body: "5\r\nhello\r\n0\r\n\r\n" },
  ])("an upgrade with $name gets 400", async ({ headers, body }) => {
    expect((await answer({ path: path(), headers }, body)).status).toBe(400);
    await peer.ended();
  });

  it.each([
    {
      name: "3,000 headers",
      options: { headers: Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`X-${i}`, "1"])) },
    },
    {
      name: "3,000 headers in 13 kB",
      options: { headers: Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [i.toString(36), ""])) },
    },
    { name: "a URL of 20 kB", options: { path: `/ws?token=${"x".repeat(20_000)}` } },
  ])("$name get 431", async ({ options }) => {
    expect((await answer(options)).status).toBe(431);
    await peer.ended();
  });

  it("headers that trickle are cut off with 408", { timeout: 40_000 }, async () => {
    const text = upgradeText(server, { path: path() });
    let at = 0;
    const dripping = setInterval(() => peer.write(text.slice(at, ++at)), 1_000);
    const { status } = await peer.head(20_000).finally(() => clearInterval(dripping));
    expect(status).toBe(408);
  });

  it("a peer that says nothing is cut off", { timeout: 40_000 }, async () => {
    await peer.ended(20_000);
    expect(peer.isEnded).toBe(true);
  });
});

describe("an origin that is not on the list gets 403", () => {
  it.each([
    "https://app.example.com.evil",
    "https://evilapp.example.com",
    "http://app.example.com",
    "https://app.example.com:444",
    "https://APP.example.com.",
    "https://app.example.com/",
    "https://app.example.com$",
    "https://app.example.com`",
    "https://app.example.com@evil.example",
    "null",
    "",
    "__proto__",
  ])("%j", async (origin) => {
    expect((await answer({ path: path(), headers: { Origin: origin } })).status).toBe(403);
  });

  it("two Origins", async () => {
    expect((await answer({ path: path(), headers: { Origin: [testOrigin, "https://evil.example"] } })).status).toBe(
      403,
    );
  });
  it("two Origins, both good", async () => {
    expect((await answer({ path: path(), headers: { Origin: [testOrigin, testOrigin] } })).status).toBe(403);
  });
});

describe("what a log shows of a peer's text", () => {
  it("is escaped", async () => {
    await answer({
      path: "/ws/%1b%5b2J%0d%0aforged?token=%1b%5b2J%0d%0aforged",
      headers: { "User-Agent": "x\u009b2J" },
    });
    await peer.closeCode();
    // oxlint-disable-next-line no-control-regex -- these are what must not be there
    expect(server.output).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(server.output).not.toMatch(/^forged/m);
  });

  it("holds no token", async () => {
    const token = makeToken({ sub: "ann" });
    await answer({ path: `/ws?token=${token}` });
    await answer({ path: `/nowhere?token=${token}` });
    expect(server.output).not.toContain(token.slice(-20));
  });
});
