import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { headerValues, listItems } from "./headers.ts";

/** The versions of the protocol that this server speaks, the newest last (P-2). */
const knownProtocols: readonly string[] = ["fanfare.v1"];

/** An answer in HTTP to a request that gets no WebSocket. The message is ours alone: nothing of the request is in it. */
export interface UpgradeRefusal {
  readonly status: number;
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A refusal for what needs state: 403, 404, 429, 503 (P-15). */
export function refusal(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): UpgradeRefusal {
  return { status, message, headers };
}

/** How long who is refused for a while is told to wait. */
export const retryAfter: Readonly<Record<string, string>> = { "Retry-After": "5" };

/** 503, for what passes by itself. */
export function notNow(message: string): UpgradeRefusal {
  return refusal(503, message, retryAfter);
}

/** To a request on the socket's path that did not ask for an upgrade, or not to a WebSocket (P-15). */
const upgradeRequired = refusal(426, "this path speaks WebSocket only", { Upgrade: "websocket" });
const getOnly = refusal(405, "a WebSocket is opened with GET", { Allow: "GET" });
const wrongVersion = refusal(426, "Sec-WebSocket-Version must be 13", {
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
});

/** What is wrong with a plain request on the socket's path, which Node gives as `request`, not as `upgrade`. */
export function refusePlainRequest(request: IncomingMessage): UpgradeRefusal {
  return request.method === "GET" ? upgradeRequired : getOnly;
}

/**
 * What is wrong with an upgrade request by itself; `undefined`: nothing. Much of this neither Node nor `ws` looks at.
 * Paths, origins and limits are the hub's.
 */
export function checkUpgrade(request: IncomingMessage): UpgradeRefusal | undefined {
  if (request.rawHeaders.length > 2 * maxHeaders) return refusal(431, "too many headers");
  if (request.httpVersion !== "1.1") return refusal(400, "a WebSocket needs HTTP/1.1");
  if (headerValues(request.rawHeaders, "host").length !== 1) return refusal(400, "exactly one Host header is needed");
  if (request.method !== "GET") return getOnly;
  if (hasBody(request)) return refusal(400, "an upgrade request has no body");
  if (request.headers.upgrade?.toLowerCase() !== "websocket") return upgradeRequired;
  return checkHandshake(request);
}

/** The subprotocol to select of those offered; false: none, which means `fanfare.v1` too (P-2). */
export function selectProtocol(offered: ReadonlySet<string>): string | false {
  return knownProtocols.findLast((known) => offered.has(known)) ?? false;
}

/** Answers on the bare socket of an upgrade and closes it. The socket must not be used afterwards. */
export function writeRefusal(socket: Duplex, refused: UpgradeRefusal): void {
  const body = `${refused.message}\n`;
  const head = [`HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status] ?? ""}`];
  for (const [name, value] of Object.entries(headersOf(refused, body))) head.push(`${name}: ${value}`);
  // A peer that resets the connection must not end the process.
  socket.on("error", ignore);
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  lingerThenDestroy(socket);
}

/** The same answer where Node made a response of it. */
export function respondRefusal(response: ServerResponse, refused: UpgradeRefusal): void {
  const body = `${refused.message}\n`;
  response.writeHead(refused.status, headersOf(refused, body)).end(body);
}

/** Far more than browsers and proxies send. Node bounds their bytes; of many short ones it drops the last without a word. */
const maxHeaders = 200;

function checkHandshake(request: IncomingMessage): UpgradeRefusal | undefined {
  const { headers } = request;
  if (headers["sec-websocket-version"] !== "13") return wrongVersion;
  if (!keyShape.test(headers["sec-websocket-key"] ?? "")) {
    return refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  }
  if (!isExtensionList(headers["sec-websocket-extensions"])) {
    return refusal(400, "Sec-WebSocket-Extensions must be a list of extensions");
  }
  return checkProtocols(headers["sec-websocket-protocol"]);
}

/** Names in the form that extensions have; `ws` reads the header only where it may compress. */
function isExtensionList(header: string | undefined): boolean {
  return header === undefined || listItems(header).every((item) => extensionShape.test(item));
}

/** A registered name begins with a letter, which `__proto__` does not; its parameters are left to who knows them. */
const extensionShape = /^[A-Za-z][\w.-]*(?:\s*;[^,]*)?$/;

/** 16 bytes in base64; repeated headers are joined by Node and fail. */
const keyShape = /^[A-Za-z0-9+/]{22}==$/;
/** A token of HTTP. */
const protocolShape = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

function checkProtocols(header: string | undefined): UpgradeRefusal | undefined {
  // What our own clients offer, at every connect.
  if (header === undefined || header === knownProtocols[0]) return undefined;
  const offered = listItems(header);
  if (!offered.every((item) => protocolShape.test(item)) || new Set(offered).size !== offered.length) {
    return refusal(400, "Sec-WebSocket-Protocol must be a list of different tokens");
  }
  const versions = offered.filter((item) => item.startsWith("fanfare.v"));
  if (versions.length === 0 || versions.some((item) => knownProtocols.includes(item))) return undefined;
  return refusal(400, `no known version offered; known: ${knownProtocols.join(", ")}`);
}

function hasBody(request: IncomingMessage): boolean {
  const length = request.headers["content-length"];
  return request.headers["transfer-encoding"] !== undefined || (length !== undefined && Number(length) !== 0);
}

function headersOf(refused: UpgradeRefusal, body: string): Record<string, string> {
  // HTTP has a sender of Upgrade name it in Connection, too.
  const connection = "Upgrade" in refused.headers ? "close, Upgrade" : "close";
  return {
    ...refused.headers,
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: connection,
  };
}

/** How long a refused peer may take to close its side. */
const lingerMs = 1_000;

/** Destroyed at once with bytes unread, a socket is reset, and the peer may lose the answer. */
function lingerThenDestroy(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once("close", () => clearTimeout(timer));
  socket.once("end", () => socket.destroy());
  socket.resume();
}

function ignore(): void {}
