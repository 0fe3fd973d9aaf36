import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { asksForWebSocket, serveAsPlain } from "./plain-request.ts";
import { refusal, writeRefusal } from "./upgrade.ts";

/** What a hub does with the requests on its paths. */
export interface PathOwner {
  readonly ownsUpgrade: (request: IncomingMessage) => boolean;
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly ownsRequest: (request: IncomingMessage) => boolean;
  readonly request: (request: IncomingMessage, response: ServerResponse) => void;
}

/**
 * Takes over paths of any node:http server, by wrapping its `emit`: as one listener among others, the framework's own
 * would answer 404 or end the socket while we still ask who it is. All other requests go by untouched. Returns what
 * undoes it.
 */
export function takePath(server: Server, owner: PathOwner): () => void {
  const own = Object.getOwnPropertyDescriptor(server, "emit");
  const emit = server.emit;
  let isAttached = true;
  const wrapped = function (this: Server, event: string, ...args: unknown[]): boolean {
    const request = args[0] as IncomingMessage;
    if (isAttached && event === "upgrade" && owner.ownsUpgrade(request)) {
      owner.upgrade(request, args[1] as Duplex, args[2] as Buffer);
      return true;
    }
    if (isAttached && event === "request" && owner.ownsRequest(request)) {
      owner.request(request, args[1] as ServerResponse);
      return true;
    }
    return Reflect.apply(emit, this, [event, ...args]) as boolean;
  };
  Object.defineProperty(server, "emit", { value: wrapped, configurable: true, writable: true });
  // Node gives upgrades to a server only while it has a listener for them.
  const others = Object.assign(
    (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      if (!answersForAll(server, others)) return;
      if (asksForWebSocket(request)) writeRefusal(socket, refusal(404, "nothing here speaks WebSocket"));
      else serveAsPlain(server, request, socket, head);
    },
    { [isFallback]: true },
  );
  server.on("upgrade", others);
  return () => {
    isAttached = false;
    server.off("upgrade", others);
    // Someone may have wrapped it after us; then ours stays in the chain, as a pass-through that owns nothing.
    if (server.emit !== wrapped) return;
    if (own === undefined) Reflect.deleteProperty(server, "emit");
    else Object.defineProperty(server, "emit", own);
  };
}

/** Known to other copies of this package in the process, too. */
const isFallback = Symbol.for("fanfare.upgrade-fallback");

/** Whether the server has none but our own fallbacks, one for each hub, and this one is the first. */
function answersForAll(server: Server, fallback: unknown): boolean {
  const listeners = server.listeners("upgrade");
  return listeners[0] === fallback && listeners.every((listener) => isFallback in listener);
}
