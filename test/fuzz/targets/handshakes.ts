import type { Case } from "../case.ts";
import type { Random } from "../random.ts";
import { requestText } from "../requests.ts";
import { badTokens, goodTokens } from "../secrets.ts";
import { mutated, oddText } from "../texts.ts";
import { textFrame } from "../wire.ts";
import { allowedOrigin, bytesOf, type Headers, requestHead, upgradeHeaders } from "./handshake-text.ts";
import { testApiKey } from "../../support/server.ts";

const odd: Readonly<Record<string, readonly string[]>> = {
  Host: ["", "a", "a:b", "[::1]", "fuzz.test:99999", "evil\ttest", "fuzz.test, other.test"],
  Upgrade: ["WebSocket", "h2c", "websocket, h2c", "", "websocket\u00ff"],
  Connection: ["keep-alive, Upgrade", "close", "upgrade", "Upgrade, close", ""],
  "Sec-WebSocket-Key": [
    "",
    "short",
    "x".repeat(24),
    "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    "=".repeat(24),
  ],
  "Sec-WebSocket-Version": ["8", "12", "", "13, 8", "013", "+13", "13.0"],
  "Sec-WebSocket-Protocol": [
    "",
    "fanfare.v1",
    "fanfare.v2",
    "fanfare.v2, fanfare.v1",
    "a,,b",
    "a, a",
    "__proto__",
    "fanfare.token.",
    "fanfare.token.x, fanfare.token.y",
    "chat",
    "a b",
    "fanfare.v1;x=1",
  ],
  "Sec-WebSocket-Extensions": [
    "permessage-deflate",
    "permessage-deflate; server_max_window_bits=99",
    "__proto__",
    'a;b;c="d"',
    ",",
    "permessage-deflate".repeat(500),
  ],
  Origin: [
    allowedOrigin,
    "null",
    "",
    "https://app.example.com.evil",
    "https://evilapp.example.com",
    "https://app.example.com/",
    "https://$app.example.com",
    "`",
    "https://APP.example.com",
    "file://",
    "https://app.example.com:443",
    "http://[::1",
    "\u00e9",
  ],
  "Content-Length": ["0", "5", "-1", "1, 1", "0x5", "99999999999999999999"],
  "Transfer-Encoding": ["chunked", "identity", "chunked, identity", "xchunked"],
  Expect: ["100-continue", "200-ok"],
  Cookie: [
    "session=",
    "session=%",
    'session="',
    "session=a; session=b",
    "__proto__=1",
    "session",
    ";;;=;",
    "session=\u00ff",
  ],
  "X-Forwarded-For": ["1.2.3.4", "1.2.3.4, ".repeat(100), "unknown", "\u00ff", "::1%lo"],
};

/** Handshakes with a fault, with credentials of every kind, and with bytes that come too early. */
export function handshakeCase(random: Random): Case {
  const { target, headers: own } = credentials(random);
  const headers: Record<string, string | readonly string[] | undefined> = { ...upgradeHeaders, ...own };
  for (let faults = random.int(0, 2); faults > 0; faults--) fault(random, headers);
  const method = random.chance(0.05) ? random.pick(["POST", "HEAD", "OPTIONS", "CONNECT", "get", "DELETE"]) : "GET";
  const version = random.chance(0.03) ? random.pick(["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", ""]) : "HTTP/1.1";
  let head = requestHead(target, headers, method, version);
  if (random.chance(0.05)) head = mutated(random, head);
  const early = random.list(0, 3, () =>
    textFrame(random, random.chance(0.3) ? firstAuth(random) : requestText(random).slice(0, 20_000)),
  );
  const chunks = random.chance(0.5) ? [Buffer.concat([bytesOf(head), ...early])] : [bytesOf(head), ...early];
  const speaks = target.startsWith("/e/") ? "app" : "fanfare";
  if (random.chance(0.1)) chunks.push(bytesOf(requestHead("/healthz", { Host: "fuzz.test" })));
  return { chunks, inputs: 1 + early.length, speaks };
}

function firstAuth(random: Random): string {
  return JSON.stringify({ type: "auth", token: random.pick(random.chance(0.5) ? goodTokens : badTokens) });
}

const paths = [
  "/ws",
  "/ws/fuzz",
  "/ws/fuzz%2Fa",
  "/ws/",
  "/ws/%zz",
  "/ws/%00",
  "/ws/%ff",
  "/ws/__proto__",
  "/ws//",
  "/wsx",
  "/ws/../healthz",
  "/",
  "*",
  "/sse",
  "/e/echo",
  "/e/checked/a",
  "/e/checked/%zz",
  "/e/first",
  "/e/bytes",
  "http://other.test/ws",
  "//ws",
  "/ws#a",
  "/v1/rooms",
];

function credentials(random: Random): { target: string; headers: Headers } {
  const path = random.chance(0.6) ? "/ws" : random.pick(paths);
  const token = random.pick(random.chance(0.5) ? goodTokens : badTokens);
  const with_ = (query: string): string => (query === "" ? path : `${path}?${query}`);
  const plain = encodeURIComponent(token);
  const since = random.chance(0.2) ? `&since=${encodeURIComponent(oddText(random).slice(0, 100).toWellFormed())}` : "";
  return random.one<{ target: string; headers: Headers }>([
    () => ({ target: with_(`token=${plain}${since}`), headers: {} }),
    () => ({ target: with_(`token=${plain}&token=x`), headers: {} }),
    () => ({ target: with_(`ticket=${plain}`), headers: {} }),
    () => ({ target: with_("ticket=a&auth=first"), headers: {} }),
    () => ({ target: with_("auth=first"), headers: {} }),
    () => ({ target: with_(`anonymous=${"a".repeat(random.int(0, 70))}`), headers: {} }),
    () => ({ target: with_(`%74oken=%zz&=&&=a&${"a=1&".repeat(random.int(0, 900))}`), headers: {} }),
    () => ({ target: with_(""), headers: { Authorization: `Bearer ${token}` } }),
    () => ({ target: with_(""), headers: { Authorization: [`Bearer ${token}`, "Bearer x"] } }),
    () => ({
      target: with_(""),
      headers: {
        Authorization: random.pick(["Basic YTpi", "Bearer", "", "bearer  a b", testApiKey, `Bearer ${testApiKey}`]),
      },
    }),
    () => ({ target: with_(""), headers: { "Sec-WebSocket-Protocol": `fanfare.v1, fanfare.token.${token}` } }),
    () => ({ target: with_(""), headers: { Cookie: `a=b; session=${token}`, Origin: random.pick(odd["Origin"]!) } }),
    () => ({
      target: with_(""),
      headers: { Cookie: `session=${token}`, "Sec-Fetch-Site": random.pick(["same-origin", "none", "cross-site"]) },
    }),
  ]);
}

function fault(random: Random, headers: Record<string, string | readonly string[] | undefined>): void {
  const name = random.pick(Object.keys(odd));
  const value = random.pick(odd[name]!);
  random.one<unknown>([
    () => (headers[name] = value),
    () => (headers[name] = value),
    () => (headers[name] = undefined),
    () => (headers[name] = [headers[name] ?? value, value].flat()),
    () => (headers[oddText(random).slice(0, 40)] = "x"),
    () => Object.assign(headers, Object.fromEntries(random.list(1, random.pick([5, 2_100]), (i) => [`X-${i}`, "y"]))),
    () => (headers["X-Long"] = "x".repeat(random.pick([100, 15_000, 17_000]))),
  ]);
}
