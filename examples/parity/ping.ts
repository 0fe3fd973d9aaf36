import type { AnyHub } from "fanfare";
import * as z from "zod";

const Message = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ping"), timestamp: z.json().optional() }),
  z.object({ type: z.literal("close") }),
]);

/** `/ws/ping`: typed messages, checked by a schema; one of them ends the connection. */
export function ping(hub: AnyHub): void {
  hub.endpoint(
    "/ws/ping",
    {
      receive: Message,
      invalid: ({ fault }, socket) =>
        socket.send({ type: "error", message: fault === "schema" ? "Unknown message" : "Invalid JSON" }),
    },
    async ({ socket }) => {
      socket.send({ type: "connected", id: socket.id, server_time: Date.now() });
      for await (const message of socket) {
        if (message.type === "close") return socket.close(1000, "as you asked");
        socket.send({ type: "pong", timestamp: message.timestamp, server_time: Date.now() });
      }
    },
  );
}
