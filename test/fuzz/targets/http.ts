import { gzipSync } from "node:zlib";
import { testApiKey } from "../../support/server.ts";
import type { Case } from "../case.ts";
import type { Random } from "../random.ts";
import { roomName } from "../requests.ts";
import { badTokens, bodyCanary, goodTokens } from "../secrets.ts";
import { mutated, mutatedObject, oddText } from "../texts.ts";
import { pieces } from "./frames.ts";
import { allowedOrigin, bytesOf, requestHead } from "./handshake-text.ts";

/** Calls of the HTTP API (P-80) and what is none, one after the other on one connection. */
export function httpCase(random: Random): Case {
  const asked = random.list(1, 6, () => call(random));
  const bye = bytesOf(requestHead("/healthz", { Host: "fuzz.test", Connection: "close" }));
  const all = Buffer.concat([...asked, bye]);
  const chunks = random.chance(0.2) ? pieces(random, all) : [all];
  return { chunks, end: "close", inputs: asked.length + 1, speaks: "fanfare" };
}

/** A segment of a path: percent-encoded well, twice, not at all, or wrongly. */
function segment(random: Random, text: string): string {
  return random.one([
    () => encodeURIComponent(text.toWellFormed()),
    () => encodeURIComponent(text.toWellFormed()),
    () => encodeURIComponent(encodeURIComponent(text.toWellFormed())),
    () => text.replaceAll(/[\s?#]/g, ""),
    () =>
      random.pick(["%", "%zz", "%ff", "%00", "%c0%af", "%ed%a0%80", "%E2%82", "..", "", "%2e%2e", "%0d%0a", "a%2Fb"]),
  ]);
}

function userName(random: Random): string {
  return random.chance(0.7) ? random.pick(["ann", "bob", "~x", "Zoë", "nobody"]) : oddText(random);
}

function target(random: Random): { path: string; method: string; body: Record<string, unknown> } {
  const room = (): string => segment(random, roomName(random));
  const user = (): string => segment(random, userName(random));
  const message = { event: random.pick(["said", "e"]), data: { text: bodyCanary } };
  const number = (): string =>
    random.pick(["1", "0", "-1", "100", "1e3", "9007199254740993", "", "x", "%31", "1&limit=2"]);
  switch (random.int(0, 11)) {
    case 0:
    case 1:
      return {
        method: "POST",
        path: `/v1/rooms/${room()}/messages`,
        body: { ...message, user: userName(random), except: "c1" },
      };
    case 2:
      return { method: "POST", path: `/v1/rooms/${room()}/signals`, body: message };
    case 3:
    case 4:
      return {
        method: "POST",
        path: "/v1/publish",
        body: { ...message, rooms: random.list(0, random.pick([4, 110]), () => roomName(random)) },
      };
    case 5:
      return { method: "GET", path: `/v1/rooms/${room()}/messages?before=${number()}&limit=${number()}`, body: {} };
    case 6:
      return { method: "GET", path: `/v1/rooms/${room()}/members`, body: {} };
    case 7:
      return {
        method: "GET",
        path: `/v1/rooms?prefix=${segment(random, roomName(random))}&limit=${number()}&after=${room()}`,
        body: {},
      };
    case 8:
      return { method: "POST", path: `/v1/users/${user()}/messages`, body: message };
    case 9:
      // Nobody whose tokens are attacked with: they would be refused from here on.
      return random.chance(0.5)
        ? {
            method: "DELETE",
            path: `/v1/users/${random.pick(["revoked", "%zz", ""])}/connections?revoke=${random.pick(["true", "1", "false", "x", ""])}`,
            body: {},
          }
        : { method: "DELETE", path: `/v1/users/${user()}/connections`, body: {} };
    case 10:
      return { method: "DELETE", path: `/v1/rooms/${room()}/members/${user()}`, body: {} };
    default:
      return {
        method: "POST",
        path: random.pick([
          "/v1/tickets",
          "/healthz",
          "/readyz",
          "/metrics",
          "/v1/openapi.json",
          "/v1",
          "/",
          "/ws",
          "/sse?room=fuzz",
          "/e/echo",
          "/v1/rooms/",
          "*",
        ]),
        body: {},
      };
  }
}

const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY", "get", "X"];

function call(random: Random): Buffer {
  const { path, method: usual, body } = target(random);
  const method = random.chance(0.85) ? usual : random.pick(methods);
  const isSent = method !== "GET" && method !== "HEAD" && random.chance(0.95);
  let content = isSent ? Buffer.from(mutatedObject(random, body).slice(0, 300_000)) : Buffer.alloc(0);
  const headers: Record<string, string | readonly string[] | undefined> = {
    Host: "fuzz.test",
    Authorization: authorization(random),
    "Content-Type": random.chance(0.9)
      ? "application/json"
      : random.pick(["", "text/plain", "application/json; charset=utf-16", "application/jsonx", "APPLICATION/JSON"]),
    "Idempotency-Key": random.chance(0.2)
      ? random.pick(["k1", "", "x".repeat(65), "\u00ff", "\u00c3\u00a9", " "])
      : undefined,
    Origin: random.chance(0.2) ? random.pick([allowedOrigin, "https://evil.test", "null", ""]) : undefined,
    "Access-Control-Request-Method": method === "OPTIONS" ? "POST" : undefined,
    Expect: random.chance(0.02) ? "100-continue" : undefined,
    Upgrade: random.chance(0.02) ? "websocket" : undefined,
  };
  if (random.chance(0.1)) {
    headers["Content-Encoding"] = random.pick(["gzip", "gzip", "gzip, gzip", "br", "", "identity"]);
    if (random.chance(0.7)) content = random.chance(0.2) ? zipped : gzipSync(content);
    if (random.chance(0.2)) content = content.subarray(0, random.int(0, content.length));
  }
  const framed = framing(random, headers, content);
  let head = requestHead(
    path,
    headers,
    method,
    random.chance(0.02) ? random.pick(["HTTP/1.0", "HTTP/9", ""]) : "HTTP/1.1",
  );
  if (random.chance(0.04)) head = mutated(random, head);
  return Buffer.concat([bytesOf(head), framed]);
}

/** 10 MB of spaces in 10 kB. */
const zipped = gzipSync(Buffer.alloc(10_000_000, " "));

function authorization(random: Random): string | readonly string[] | undefined {
  return random.one<string | readonly string[] | undefined>([
    () => `Bearer ${testApiKey}`,
    () => `Bearer ${testApiKey}`,
    () => `Bearer ${testApiKey}`,
    () => `Bearer ${random.pick(goodTokens)}`,
    () => `Bearer ${random.pick(badTokens)}`,
    () => `Bearer ${mutated(random, testApiKey)}`.replaceAll(/[\r\n]/g, ""),
    () => [`Bearer ${testApiKey}`, "Bearer x"],
    () => random.pick([undefined, "", "Bearer", "Basic YTpi", "bearer   x  y", "Bearer \u00ff"]),
  ]);
}

/** How the body's end is told: well, or in the shapes that hide one request in another. */
function framing(
  random: Random,
  headers: Record<string, string | readonly string[] | undefined>,
  content: Buffer,
): Buffer {
  const length = String(content.length);
  switch (random.chance(0.8) ? 0 : random.int(1, 8)) {
    case 0:
      if (content.length > 0) headers["Content-Length"] = length;
      return content;
    case 1:
      headers["Transfer-Encoding"] = "chunked";
      return chunked(random, content);
    case 2:
      headers["Content-Length"] = length;
      headers["Transfer-Encoding"] = "chunked";
      return chunked(random, content);
    case 3:
      headers["Content-Length"] = [length, "0"];
      return content;
    case 4:
      headers["Content-Length"] = String(content.length + random.pick([-1, 1, 5, 100_000_000]));
      return content;
    case 5:
      headers["Content-Length"] = random.pick(["-1", "0x1", "1e1", " ", "+1", `${length}, ${length}`, "9".repeat(40)]);
      return content;
    case 6:
      headers["Transfer-Encoding"] = random.pick([
        "xchunked",
        "chunked, chunked",
        "identity",
        " chunked",
        "chunked;q=1",
        "\u000bchunked",
      ]);
      return chunked(random, content);
    default:
      return content;
  }
}

function chunked(random: Random, content: Buffer): Buffer {
  const parts = pieces(random, Buffer.concat([content, Buffer.alloc(1, " ")]));
  const size = (part: Buffer): string =>
    random.chance(0.9)
      ? part.length.toString(16)
      : random.pick(["zz", "-1", "0x1", "ffffffffffffffff", '1;ext="a"', ""]);
  const end = random.chance(0.9)
    ? "0\r\n\r\n"
    : random.pick(["0\r\nX-Trailer: 1\r\n\r\n", "0\n\n", "", "00000\r\n\r\n"]);
  return Buffer.concat([
    ...parts.flatMap((part) => [bytesOf(`${size(part)}\r\n`), part, bytesOf("\r\n")]),
    bytesOf(end),
  ]);
}
