import type { WebSocketClass, WebSocketLike } from "./platform.ts";
import type { ClientOptions } from "./types.ts";

/** Opens a socket with this token. */
export type Dial = (token: string | undefined) => WebSocketLike;

/** What a subprotocol may consist of (RFC 6455, 4.1: a token of RFC 9110). */
const subprotocolForm = /^[\w!#$%&'*+.^`|~-]+$/;

/** Throws a TypeError where the options name no server, or there is no WebSocket. */
export function dialer(options: Omit<ClientOptions, "rooms">, anonymous: string): Dial {
  const { location, WebSocket } = globalThis as { location?: { href: string }; WebSocket?: WebSocketClass };
  const Class = options.WebSocket ?? WebSocket;
  if (!Class) throw new TypeError("no WebSocket");
  const url = new URL(options.url, location?.href);
  url.protocol = url.protocol.replace("http", "ws");
  const { tokenAs } = options;
  return (token) => {
    const target = new URL(url);
    const query = target.searchParams;
    const protocols = ["fanfare.v1"];
    if (token === undefined) query.set("anonymous", anonymous);
    else if (tokenAs === "ticket") query.set("ticket", token);
    else if (tokenAs !== "first" && subprotocolForm.test(token)) protocols.push(`fanfare.token.${token}`);
    else query.set("auth", "first");
    return new Class(target.href, protocols);
  };
}
