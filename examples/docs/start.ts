// #region server
import { createServer } from "node:http";
import { createHub, jwt, signToken } from "fanfare";
import { rooms } from "./rooms.ts";

const secret = process.env["APP_SECRET"] ?? "only for trying it out: 32 bytes or more";

export const hub = createHub({ rooms, auth: jwt({ secret }) });

export const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/login") {
    // Here your app checks a password, or its session.
    const token = signToken({ secret, user: "ann", rooms: ["chat/*", "orders/*"], expiresInMs: 3_600_000 });
    response.setHeader("content-type", "application/json").end(JSON.stringify({ token }));
    return;
  }
  response.writeHead(404).end();
});

hub.attach(server);
// #endregion
