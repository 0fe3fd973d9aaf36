import type { AnyHub } from "fanfare";

/** `/ws/echo`: a text comes back behind `Echo: `, binary comes back as it is. */
export function echo(hub: AnyHub): void {
  hub.endpoint("/ws/echo", async ({ socket }) => {
    for await (const message of socket) {
      const hasRoom = socket.send(typeof message === "string" ? `Echo: ${message}` : message);
      // A peer that writes and does not read: go on when it has read.
      if (!hasRoom) await socket.drained();
    }
  });
}
