import { createHmac, createSign, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import type { Authenticate, Identity, RequestFacts } from "../../../src/server/auth/identity.ts";
import { jwt, signToken, type JwtOptions } from "../../../src/server/auth/jwt.ts";
import { keyServer } from "./key-server.ts";

const nowMs = 1_800_000_000_000;
const nowS = nowMs / 1000;
const secret = "a secret of the tests";
const good = { sub: "ann", iat: nowS - 10, exp: nowS + 60 };
const request: RequestFacts = { path: "/ws", query: new URLSearchParams(), headers: {}, address: "127.0.0.1" };

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");

function part(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

function hs256(claims: unknown, header: object = {}, key: string = secret): string {
  const input = `${part({ alg: "HS256", ...header })}.${part(claims)}`;
  return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
}

function hs384(claims: unknown): string {
  const input = `${part({ alg: "HS384" })}.${part(claims)}`;
  return `${input}.${createHmac("sha384", secret).update(input).digest("base64url")}`;
}

function rs256(claims: unknown, header: object = {}, key: KeyObject = rsa.privateKey): string {
  const input = `${part({ alg: "RS256", ...header })}.${part(claims)}`;
  return `${input}.${createSign("RSA-SHA256").update(input).sign(key).toString("base64url")}`;
}

function es256(claims: unknown): string {
  const input = `${part({ alg: "ES256" })}.${part(claims)}`;
  const signature = sign("sha256", Buffer.from(input), { key: ec.privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

function eddsa(claims: unknown): string {
  const input = `${part({ alg: "EdDSA" })}.${part(claims)}`;
  return `${input}.${sign(null, Buffer.from(input), ed.privateKey).toString("base64url")}`;
}

function pem(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" }).toString();
}

function whoIs(authenticate: Authenticate, token: string): Identity | undefined | Promise<Identity | undefined> {
  return authenticate({ kind: "query", token }, request);
}

function withSecret(options: JwtOptions = { secret }): Authenticate {
  return jwt({ ...options, now: () => nowMs });
}

describe("a token with good claims", () => {
  it("gives its user, times in milliseconds, and only the personal room where it has no claim rooms", () => {
    const identity = whoIs(withSecret(), hs256(good));
    expect(identity).toEqual({ user: "ann", rooms: {}, issuedAt: nowMs - 10_000, expiresAt: nowMs + 60_000 });
  });

  it("gives the rights of defaultRooms where it has no claim rooms", () => {
    expect(whoIs(withSecret({ secret, defaultRooms: ["lobby"] }), hs256(good))).toMatchObject({ rooms: ["lobby"] });
  });

  it.each([[["a/*", "b"]], [{ "a/*": ["join", "publish"], b: [] }], [[]], [{}]])(
    "gives the claim rooms: %j",
    (rooms) => {
      expect(whoIs(withSecret({ secret, defaultRooms: ["lobby"] }), hs256({ ...good, rooms }))).toMatchObject({
        rooms,
      });
    },
  );

  it("needs no iat", () => {
    expect(whoIs(withSecret(), hs256({ sub: "ann", exp: nowS + 1 }))).toEqual({
      user: "ann",
      rooms: {},
      expiresAt: nowMs + 1000,
    });
  });

  it.each([
    ["nbf that has come", { nbf: nowS }],
    ["nbf within the tolerance for clocks", { nbf: nowS + 1 }],
    ["exp with a fraction", { exp: nowS + 0.5 }],
    ["a name of 254 bytes", { sub: "é".repeat(127) }],
    ["a user named as a property of objects", { sub: "__proto__" }],
  ])("is good with %s", (_, claims) => {
    expect(whoIs(withSecret(), hs256({ ...good, ...claims }))).toBeDefined();
  });
});

describe("bad claims give nobody", () => {
  const cases: [string, object | string][] = [
    ["no sub", { sub: undefined }],
    ["empty sub", { sub: "" }],
    ["numeric sub", { sub: 7 }],
    ["sub beginning with ~", { sub: "~ann" }],
    ["sub with a control character", { sub: "a\u001bnn" }],
    ["sub of 255 bytes", { sub: "x".repeat(255) }],
    ["sub in NFD", { sub: "e\u0301" }],
    ["no exp", { exp: undefined }],
    ["exp as a string", { exp: String(nowS + 60) }],
    ["exp null", { exp: null }],
    ["exp of 1e400", `{"sub":"ann","exp":1e400}`],
    ["exp of -1e400", `{"sub":"ann","exp":-1e400}`],
    ["exp beyond exact milliseconds", { exp: 1e300 }],
    ["exp now", { exp: nowS }],
    ["exp a second ago", { exp: nowS - 1 }],
    ["future nbf", { nbf: nowS + 60 }],
    ["nbf as a string", { nbf: "0" }],
    ["iat as a string", { iat: "0" }],
    ["rooms null", { rooms: null }],
    ["rooms a string", { rooms: "a" }],
    ["rooms with a number", { rooms: [1] }],
    ["rooms with an unknown right", { rooms: { a: ["admin"] } }],
    ["rooms with rights as a string", { rooms: { a: "join" } }],
    ["rooms with an empty pattern", { rooms: [""] }],
    ["too many rooms", { rooms: Array.from({ length: 1001 }, (_, i) => `r${i}`) }],
    ["claims that are a list", "[]"],
    ["claims that are null", "null"],
    ["claims that are no JSON", "{"],
  ];
  it.each(cases)("%s", (_, claims) => {
    expect(whoIs(withSecret(), hs256(typeof claims === "string" ? claims : { ...good, ...claims }))).toBeUndefined();
  });

  it.each([
    [{ issuer: "me" }, {}, false],
    [{ issuer: "me" }, { iss: "other" }, false],
    [{ issuer: "me" }, { iss: ["me"] }, false],
    [{ issuer: "me" }, { iss: "me" }, true],
    [{ issuer: ["me", "you"] }, { iss: "you" }, true],
    [{ audience: "app" }, {}, false],
    [{ audience: "app" }, { aud: "other" }, false],
    [{ audience: "app" }, { aud: ["other", 3] }, false],
    [{ audience: "app" }, { aud: ["other", "app"] }, true],
    [{ audience: ["app", "web"] }, { aud: "web" }, true],
  ])("with %j, a token with %j is good: %s", (options, claims, isGood) => {
    expect(whoIs(withSecret({ secret, ...options }), hs256({ ...good, ...claims })) !== undefined).toBe(isGood);
  });
});

describe("bad tokens give nobody", () => {
  const unsigned = `${part({ alg: "none" })}.${part(good)}.`;
  const cases: [string, string][] = [
    ["empty", ""],
    ["no token", "hello"],
    ["two parts", "a.b"],
    ["dots alone", ".."],
    ["alg none", unsigned],
    ["alg none, signed nevertheless", hs256(good, { alg: "none" })],
    ["alg nOnE", hs256(good, { alg: "nOnE" })],
    ["HS256 named, signature missing", `${part({ alg: "HS256" })}.${part(good)}.`],
    ["no alg", hs256(good, { alg: undefined })],
    ["alg a number", hs256(good, { alg: 5 })],
    ["another secret", hs256(good, {}, "another")],
    ["RS256 against a secret", rs256(good)],
    ["HS384 with the right secret", hs384(good)],
    ["a crit header that nobody knows", hs256(good, { crit: ["x"], x: 1 })],
    ["a space at the end", `${hs256(good)} `],
    ["too long", `${part({ alg: "HS256", pad: "x".repeat(20_000) })}.${part(good)}.x`],
    ["deeply nested claims", hs256("[".repeat(8000))],
  ];
  it.each(cases)("%s", (_, token) => {
    expect(whoIs(withSecret(), token)).toBeUndefined();
  });

  it.each([["../../dev/null"], ["__proto__"], ["constructor"], [7]])("a kid of %j means nothing to a secret", (kid) => {
    expect(whoIs(withSecret(), hs256(good, { kid }))).toBeDefined();
    expect(whoIs(withSecret(), hs256(good, { kid }, ""))).toBeUndefined();
  });
});

describe("keys", () => {
  it("takes a token signed with any of several secrets", () => {
    const authenticate = withSecret({ secrets: ["new", "old"] });
    expect(whoIs(authenticate, hs256(good, {}, "new"))).toBeDefined();
    expect(whoIs(authenticate, hs256(good, {}, "old"))).toBeDefined();
    expect(whoIs(authenticate, hs256(good, {}, "older"))).toBeUndefined();
  });

  it.each([
    ["RSA", rsa.publicKey, rs256(good)],
    ["P-256", ec.publicKey, es256(good)],
    ["Ed25519", ed.publicKey, eddsa(good)],
  ])("takes a token signed with the private half of a key of %s, and none of another kind", (_, key, token) => {
    const authenticate = withSecret({ key: pem(key) });
    expect(whoIs(authenticate, token)).toMatchObject({ user: "ann" });
    const others = [rs256(good), es256(good), eddsa(good)].filter(
      (other) => other.split(".")[0] !== token.split(".")[0],
    );
    expect(others.map((other) => whoIs(authenticate, other))).toEqual([undefined, undefined]);
  });

  it("takes tokens of any of several keys", () => {
    const authenticate = withSecret({ key: [pem(rsa.publicKey), pem(ed.publicKey)] });
    expect(whoIs(authenticate, eddsa(good))).toBeDefined();
    expect(whoIs(authenticate, es256(good))).toBeUndefined();
  });

  it("takes no token that was signed with the public key as if it were a secret", () => {
    for (const forged of [pem(rsa.publicKey), pem(rsa.publicKey).trim()]) {
      expect(whoIs(withSecret({ key: pem(rsa.publicKey) }), hs256(good, {}, forged))).toBeUndefined();
    }
  });

  it.each<[string, JwtOptions, RegExp]>([
    ["no key at all", {}, /exactly one .* got none/],
    ["two kinds of key", { secret, jwks: "https://a.example" }, /exactly one .* got secret and jwks/],
    ["an empty secret", { secret: "" }, /not empty/],
    ["no secrets", { secrets: [] }, /secrets must not be an empty list/],
    ["a public key as secret", { secret: pem(rsa.publicKey) }, /give that as key/],
    ["a secret as key", { key: "dev" }, /public key in PEM/],
    ["a broken key", { key: "-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----" }, /cannot be read/],
    ["a private key", { key: ed.privateKey.export({ type: "pkcs8", format: "pem" }).toString() }, /private/],
    ["jwks that is no URL", { jwks: "keys.json" }, /https:, http: or file:/],
    ["jwks of another scheme", { jwks: "data:,x" }, /https:, http: or file:/],
  ])("throws a TypeError for %s", (_, options, message) => {
    expect(() => jwt(options)).toThrow(TypeError);
    expect(() => jwt(options)).toThrow(message);
  });
});

describe("a remote key set", () => {
  const keys = [{ ...rsa.publicKey.export({ format: "jwk" }), kid: "one", alg: "RS256", use: "sig" }];

  it("is read once for many tokens, and trusts what its keys signed alone", async () => {
    await using server = await keyServer({ keys });
    const authenticate = withSecret({ jwks: server.url });
    const tokens = Array.from({ length: 20 }, () => rs256(good, { kid: "one" }));
    const found = await Promise.all(tokens.map(async (token) => whoIs(authenticate, token)));
    expect(found.every((identity) => identity?.user === "ann")).toBe(true);
    expect(await whoIs(authenticate, rs256({ ...good, exp: nowS }, { kid: "one" }))).toBeUndefined();
    expect(await whoIs(authenticate, es256(good))).toBeUndefined();
    const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    expect(await whoIs(authenticate, rs256(good, { kid: "one" }, stranger))).toBeUndefined();
    expect(server.requests).toEqual(["/keys.json"]);
  });

  it("is not asked for tokens that cannot be good", async () => {
    await using server = await keyServer({ keys });
    const authenticate = withSecret({ jwks: server.url });
    const publicText = JSON.stringify(keys[0]);
    const bad = ["", "x", "a.b.c", `${part({ alg: "none" })}.${part(good)}.`, hs256(good, { kid: "one" }, publicText)];
    for (const token of bad) expect(await whoIs(authenticate, token)).toBeUndefined();
    expect(server.requests).toEqual([]);
  });

  it("follows no address that a token names", async () => {
    await using server = await keyServer({ keys });
    await using other = await keyServer({ keys: [rsa.publicKey.export({ format: "jwk" })] });
    const header = { kid: "one", jku: other.url.href, x5u: other.url.href, jwk: keys[0] };
    const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const forged = rs256(good, { ...header, jwk: stranger.publicKey.export({ format: "jwk" }) }, stranger.privateKey);
    for (const options of [{ jwks: server.url }, { key: pem(rsa.publicKey) }]) {
      const authenticate = withSecret(options);
      expect(await whoIs(authenticate, forged)).toBeUndefined();
      expect(await whoIs(authenticate, rs256(good, header))).toMatchObject({ user: "ann" });
    }
    expect(other.requests).toEqual([]);
  });

  it.each([["two"], ["../../dev/null"], ["__proto__"]])(
    "knows nobody by a kid of %j, and does not ask again at once",
    async (kid) => {
      await using server = await keyServer({ keys });
      const authenticate = withSecret({ jwks: server.url });
      for (let i = 0; i < 10; i++) expect(await whoIs(authenticate, rs256(good, { kid }))).toBeUndefined();
      expect(server.requests).toHaveLength(1);
    },
  );

  it.each<[string, number, unknown, RegExp]>([
    ["answers 500", 500, { keys }, /status 500/],
    ["redirects", 302, { keys }, /status 302/],
    ["answers no JSON", 200, "<html>", /as JSON/],
    ["answers no key set", 200, { keys: 1 }, /malformed/],
  ])("that %s makes the check reject, because the token may be good", async (_, status, body, message) => {
    await using server = await keyServer(body, status);
    await expect(whoIs(withSecret({ jwks: server.url }), rs256(good, { kid: "one" }))).rejects.toThrow(message);
  });

  it("that failed is left alone for a second, then read again", async () => {
    await using server = await keyServer({ keys }, 503);
    let clockMs = nowMs;
    const authenticate = jwt({ jwks: server.url, now: () => clockMs });
    const token = rs256(good, { kid: "one" });
    for (let i = 0; i < 5; i++) await expect(whoIs(authenticate, token)).rejects.toThrow(/status 503/);
    expect(server.requests).toHaveLength(1);
    server.status = 200;
    clockMs += 1_000;
    expect(await whoIs(authenticate, token)).toMatchObject({ user: "ann" });
    expect(server.requests).toHaveLength(2);
  });

  it("that nobody serves makes the check reject", async () => {
    const server = await keyServer({ keys });
    await server[Symbol.asyncDispose]();
    await expect(whoIs(withSecret({ jwks: server.url.href }), rs256(good, { kid: "one" }))).rejects.toThrow(
      /fetch failed/,
    );
  });

  it("can be a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fanfare-keys-"));
    try {
      const file = join(folder, "keys.json");
      await writeFile(file, JSON.stringify({ keys }));
      expect(await whoIs(withSecret({ jwks: pathToFileURL(file) }), rs256(good, { kid: "one" }))).toBeDefined();
      const missing = withSecret({ jwks: pathToFileURL(join(folder, "none.json")) });
      await expect(whoIs(missing, rs256(good, { kid: "one" }))).rejects.toThrow(/ENOENT/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("signToken", () => {
  it("makes a token that the same secret takes", () => {
    const token = signToken({
      secret,
      user: "Ann é",
      rooms: { "a/*": ["join"] },
      expiresInMs: 1_500,
      issuer: "me",
      audience: "app",
      now: nowMs + 1,
    });
    const identity = whoIs(withSecret({ secret, issuer: "me", audience: "app" }), token);
    expect(identity).toEqual({
      user: "Ann é",
      rooms: { "a/*": ["join"] },
      issuedAt: nowMs + 1,
      expiresAt: nowMs + 1_501,
    });
  });

  it("leaves out the claims that it was not given", () => {
    const [, claims = ""] = signToken({ secret, user: "ann", expiresInMs: 1000, now: nowMs }).split(".");
    expect(JSON.parse(Buffer.from(claims, "base64url").toString())).toEqual({ sub: "ann", iat: nowS, exp: nowS + 1 });
  });

  it.each([
    [{ user: "~ann" }, /user/],
    [{ user: "" }, /user/],
    [{ expiresInMs: 0 }, /expiresInMs/],
    [{ expiresInMs: Number.NaN }, /expiresInMs/],
    [{ secret: "" }, /secret/],
  ])("throws a TypeError for %j", (wrong, message) => {
    expect(() => signToken({ secret, user: "ann", expiresInMs: 1000, ...wrong })).toThrow(message);
  });
});
