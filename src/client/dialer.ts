import type { WebSocketClass, WebSocketLike } from "./platform.ts";
import type { ClientOptions } from "./types.ts";

/** An open or opening socket. After `drop` nothing more is heard of it. */
export interface Socket {
  /** Bytes that the platform has taken and not yet sent. */
  readonly bufferedBytes: number;
  send(text: string): void;
  drop(code?: 1000): void;
}

export interface SocketListener {
  frame(data: unknown): void;
  closed(code: number): void;
}

export type Dial = (token: string | undefined, listener: SocketListener) => Socket;

/** What a subprotocol may consist of (RFC 6455, 4.1: a token of RFC 9110). */
const subprotocolForm = /^[\w!#$%&'*+.^`|~-]+$/;

/** Throws a TypeError where the options cannot name a server. */
export function dialer(options: Omit<ClientOptions, "rooms">, anonymous: string): Dial {
  const { WebSocket: Given, tokenAs } = options;
  const url = socketUrl(options.url);
  return (token, listener) => {
    const Class = Given ?? globalWebSocket();
    const target = new URL(url);
    const protocols = ["fanfare.v1"];
    if (token === undefined) target.searchParams.set("anonymous", anonymous);
    else if (tokenAs === "ticket") target.searchParams.set("ticket", token);
    else if (tokenAs !== "first" && subprotocolForm.test(token)) protocols.push(`fanfare.token.${token}`);
    else target.searchParams.set("auth", "first");
    return wrap(new Class(target.href, protocols), listener);
  };
}

function socketUrl(text: string): string {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  const url = new URL(text, base);
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(url.protocol)) throw new TypeError(`url must begin with ws: or wss:, got ${url.protocol}`);
  url.hash = "";
  return url.href;
}

function globalWebSocket(): WebSocketClass {
  const Class = (globalThis as { WebSocket?: WebSocketClass }).WebSocket;
  if (Class === undefined) throw new TypeError("no global WebSocket here: give createClient a WebSocket class");
  return Class;
}

function wrap(socket: WebSocketLike, listener: SocketListener): Socket {
  socket.onmessage = (event: { data: unknown }) => listener.frame(event.data);
  socket.onclose = (event: { code: number }) => listener.closed(event.code);
  // Told by `closed` as well. It stays set after `drop`: in Node an error that nobody listens for ends the process.
  socket.onerror = () => {};
  return {
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send(text) {
      // 1 is OPEN. What is sent to a closing socket is lost either way; a connecting one would throw.
      if (socket.readyState === 1) socket.send(text);
    },
    drop(code) {
      socket.onmessage = socket.onclose = null;
      if (code !== undefined) socket.close(code);
      else if (socket.terminate) socket.terminate();
      else socket.close();
    },
  };
}
