import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { http } from "../support/http.ts";
import { endServer, startServer, testOrigin, type TestServer } from "../support/server.ts";
import { connect, type Peer } from "../support/socket.ts";
import { makeToken, signToken, unsignedToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicPem = rsa.publicKey.export({ type: "spki", format: "pem" }).toString();
const publicJwk = createPublicKey(publicPem).export({ format: "jwk" });
const future = Math.floor(Date.now() / 1000) + 3_600;

/** Where a careless check would fetch keys from. */
let elsewhere: Server;
let elsewhereUrl = "";
let fetched = 0;
let server: TestServer;
let witness: Witness;
beforeAll(async () => {
  elsewhere = createServer((_, response) => {
    fetched++;
    response.end(JSON.stringify({ keys: [publicJwk] }));
  }).listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  elsewhereUrl = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/keys`;
  server = await startServer(["--backend", "memory", "--limit", "grace_ms=0"]);
});
afterAll(async () => {
  elsewhere.close();
  await endServer(server);
});
beforeEach(async () => void (witness = await Witness.of(server)));
afterEach(async () => {
  await witness.sees();
  witness.end();
});

const claims = (more: object = {}): string => JSON.stringify({ sub: "ann", exp: future, ...more });
const hs256 = { alg: "HS256", typ: "JWT" };

it("the same token without a fault is good", async () => {
  const peer = await connect(server, { query: { token: signToken(hs256, claims()) } });
  await peer.expect({ type: "welcome", user: "ann", expires_at: future * 1000 });
  await peer.close();
});

const bad: { name: string; token: () => string }[] = [
  { name: "alg none", token: () => unsignedToken({ sub: "ann", exp: future }) },
  { name: "alg None with a signature", token: () => signToken({ alg: "None" }, claims()) },
  { name: "no alg", token: () => signToken({}, claims()) },
  { name: "alg HS512 over an HS256 signature", token: () => signToken({ alg: "HS512" }, claims()) },
  { name: "another secret", token: () => signToken(hs256, claims(), "another-secret-of-32-bytes-and-more") },
  { name: "an empty secret", token: () => signToken(hs256, claims(), "") },
  { name: "no signature", token: () => signToken(hs256, claims()).replace(/[^.]*$/, "") },
  {
    name: "a changed payload",
    token: () =>
      signToken(hs256, claims()).replace(/\.[^.]*\./, `.${Buffer.from(claims({ sub: "bob" })).toString("base64url")}.`),
  },
  { name: "two parts", token: () => signToken(hs256, claims()).replace(/\.[^.]*$/, "") },
  { name: "four parts", token: () => `${signToken(hs256, claims())}.x` },
  { name: "no exp", token: () => signToken(hs256, JSON.stringify({ sub: "ann" })) },
  { name: "exp as a string", token: () => signToken(hs256, claims({ exp: String(future) })) },
  { name: "exp 1e400", token: () => signToken(hs256, `{"sub":"ann","exp":1e400}`) },
  { name: "exp null", token: () => signToken(hs256, claims({ exp: null })) },
  { name: "exp in the past", token: () => signToken(hs256, claims({ exp: future - 7_200 })) },
  { name: "exp below 0", token: () => signToken(hs256, claims({ exp: -1 })) },
  { name: "nbf in the future", token: () => signToken(hs256, claims({ nbf: future })) },
  { name: "nbf as a string", token: () => signToken(hs256, claims({ nbf: "0" })) },
  { name: "no sub", token: () => signToken(hs256, JSON.stringify({ exp: future })) },
  { name: "an empty sub", token: () => signToken(hs256, claims({ sub: "" })) },
  { name: "sub as a list", token: () => signToken(hs256, claims({ sub: ["ann"] })) },
  { name: "sub of 255 bytes", token: () => signToken(hs256, claims({ sub: "x".repeat(255) })) },
  { name: "sub with a control character", token: () => signToken(hs256, claims({ sub: "ann\u001b[2J" })) },
  { name: "sub in NFD", token: () => signToken(hs256, claims({ sub: "e\u0301" })) },
  { name: "sub with ~", token: () => signToken(hs256, claims({ sub: "~ann" })) },
  { name: "rooms as a string", token: () => signToken(hs256, claims({ rooms: "**" })) },
  { name: "rooms with an unknown right", token: () => signToken(hs256, claims({ rooms: { "**": ["fly"] } })) },
  { name: "a payload that is a list", token: () => signToken(hs256, "[]") },
  { name: "a payload that is no JSON", token: () => signToken(hs256, "{") },
  { name: "only dots", token: () => ".." },
  { name: "8 kB of text", token: () => "x".repeat(8_000) },
];

async function expectUnauthorized(peer: Peer): Promise<void> {
  await peer.expect({ type: "error", code: "unauthorized" });
  await peer.expectClose(4001);
}

describe("a bad token is unauthorized", () => {
  it.each(bad)("$name", async ({ token }) => {
    await expectUnauthorized(await connect(server, { query: { token: token() } }));
  });
  it.each(bad.slice(0, 3))("$name, as the first message", async ({ token }) => {
    const peer = await connect(server);
    await peer.expect({ type: "auth_required" });
    peer.send({ type: "auth", token: token() });
    await expectUnauthorized(peer);
  });
});

describe("a token that names its own key", () => {
  it.each([
    { name: "kid ../../dev/null", header: { ...hs256, kid: "../../dev/null" } },
    { name: "kid __proto__", header: { ...hs256, kid: "__proto__" } },
    { name: "jku", header: { ...hs256, jku: "URL", kid: "1" } },
    { name: "x5u", header: { ...hs256, x5u: "URL" } },
    { name: "jwk", header: { ...hs256, jwk: publicJwk } },
  ])("$name: is checked with our key or none, and nothing is fetched", async ({ header }) => {
    const text = JSON.stringify(header).replace("URL", elsewhereUrl);
    const named = JSON.parse(text) as Record<string, unknown>;
    await expectUnauthorized(await connect(server, { query: { token: signToken(named, claims(), "") } }));
    await expectUnauthorized(await connect(server, { query: { token: signToken(named, claims(), publicPem) } }));
    expect(fetched).toBe(0);
  });
});

describe("with a public key set", () => {
  let keyed: TestServer;
  beforeAll(async () => void (keyed = await startServer(["--backend", "memory", "--jwks", elsewhereUrl])));
  afterAll(() => endServer(keyed));

  it.each(["HS256", "HS384"])("%s signed with the public key is unauthorized", async (alg) => {
    for (const secret of [publicPem, publicPem.trim(), JSON.stringify(publicJwk), String(publicJwk.n)]) {
      const token = signToken({ alg, typ: "JWT" }, claims(), secret);
      await expectUnauthorized(await connect(keyed, { query: { token } }));
    }
  });
});

describe("a ticket", () => {
  async function makeTicket(token: string): Promise<string> {
    const response = await http(`http://${server.host}/v1/tickets`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, Origin: testOrigin },
    });
    expect(response.status).toBe(200);
    return (JSON.parse(response.text) as { ticket: string }).ticket;
  }

  it("used a hundred times at once lets one in", async () => {
    const ticket = await makeTicket(makeToken({ sub: "ann" }));
    const peers = await Promise.all(Array.from({ length: 100 }, () => connect(server, { query: { ticket } })));
    const first = await Promise.all(peers.map((peer) => peer.next()));
    expect(first.filter((frame) => frame["type"] === "welcome")).toHaveLength(1);
    expect(first.filter((frame) => frame["code"] === "unauthorized")).toHaveLength(99);
    for (const peer of peers) peer.destroy();
  });

  it("of another kind is bad credentials", async () => {
    for (const ticket of ["", "x", "__proto__", "x".repeat(4_000), makeToken({ sub: "ann" })]) {
      await expectUnauthorized(await connect(server, { query: { ticket } }));
    }
  });

  it("is not made with a bad token, and a ticket makes no ticket", async () => {
    const ticket = await makeTicket(makeToken({ sub: "ann" }));
    for (const token of [ticket, "nonsense", unsignedToken({ sub: "ann", exp: future })]) {
      const response = await http(`http://${server.host}/v1/tickets`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}` },
      });
      expect(response.status).toBe(401);
    }
  });

  it("has its token's expiry", async () => {
    const ticket = await makeTicket(makeToken({ sub: "ann", expires_in_ms: 1_500 }));
    const peer = await connect(server, { query: { ticket } });
    await peer.expect({ type: "welcome", user: "ann" });
    await peer.expect({ type: "reauth" });
    await peer.expectClose(4100);
  });
});
