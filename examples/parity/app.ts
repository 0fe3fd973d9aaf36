import { createServer, type Server } from "node:http";
import { createHub, jwt, type Logger } from "fanfare";
import { authFirst } from "./auth-first.ts";
import { chat } from "./chat.ts";
import { echo } from "./echo.ts";
import { global } from "./global.ts";
import { heartbeat } from "./heartbeat.ts";
import { orderStatus, rooms } from "./orders.ts";
import { ping } from "./ping.ts";
import { room } from "./room.ts";

export interface ParityOptions {
  /** For HS256. */
  readonly secret: string;
  readonly heartbeatMs?: number;
  readonly pongMs?: number;
  readonly logger?: Logger;
}

/** All examples in one app: endpoints of its own and its HTTP, without the hub's protocol. */
export function parityApp({ secret, heartbeatMs, pongMs, logger }: ParityOptions) {
  const hub = createHub({
    auth: jwt({ secret }),
    path: false,
    ssePath: false,
    origins: ["*"],
    ...(logger && { logger }),
  });
  for (const add of [echo, ping, chat, room, rooms, authFirst, global]) add(hub);
  heartbeat(hub, { ...(heartbeatMs && { heartbeatMs }), ...(pongMs && { pongMs }) });
  const server: Server = createServer((request, response) => {
    orderStatus(hub, request).then(
      (answer) => {
        const [status, body] = answer ?? (request.url === "/healthz" ? [200, { status: "ok" }] : [404, {}]);
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      },
      () => response.destroy(),
    );
  });
  hub.attach(server);
  return { hub, server };
}
