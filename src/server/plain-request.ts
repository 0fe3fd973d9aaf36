import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { headerValues, listItems } from "./headers.ts";
import { refusal, writeRefusal } from "./upgrade.ts";

/** Whether a WebSocket is among what a request offers to upgrade to. */
export function asksForWebSocket({ headers }: Pick<IncomingMessage, "headers">): boolean {
  return listItems(headers.upgrade).some((protocol) => protocol.toLowerCase() === "websocket");
}

/** Headers that are of the offer alone. */
const offered: ReadonlySet<string> = new Set(["upgrade", "http2-settings"]);
/** Node keeps so many names and values. Of one with more, the length of the body could be what it has dropped. */
const mostRawHeaders = 2_000;

/**
 * Has the server answer a request as if it offered no other protocol, which it may (RFC 9110, section 7.8). Java's client
 * and `curl --http2` offer `h2c` with every request, and Node answers them as long as nobody listens for upgrades; once
 * a hub does, it takes them off HTTP. So the request goes back into its socket without the offer, and the socket to the
 * server, as a new one. `head` is what Node had read after the headers.
 */
export function serveAsPlain(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request;
  if (rawHeaders.length >= mostRawHeaders) return writeRefusal(socket, refusal(431, "too many headers"));
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    const isKept = !offered.has(name.toLowerCase()) && name.toLowerCase() !== "connection";
    if (isKept) lines.push(`${name}: ${rawHeaders[i + 1]}`);
  }
  const options = headerValues(rawHeaders, "connection").flatMap(listItems);
  const others = options.filter((option) => !offered.has(option.toLowerCase()));
  if (others.length > 0) lines.push(`Connection: ${others.join(", ")}`);
  socket.unshift(head);
  socket.unshift(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"));
  server.emit(socket instanceof TLSSocket ? "secureConnection" : "connection", socket);
}
