import type { AnyHub } from "fanfare";

/**
 * `/ws/with-heartbeat`: pings as messages of the app's own, for peers whose WebSocket shows them no others. The hub's own
 * heartbeat, by WebSocket pings, runs on every endpoint anyway.
 */
export function heartbeat(hub: AnyHub, { heartbeatMs = 30_000, pongMs = 10_000 } = {}): void {
  hub.endpoint("/ws/with-heartbeat", { receive: "json", invalid: () => undefined }, async ({ socket }) => {
    let pingAt = performance.now() + heartbeatMs;
    let pongBy = Infinity; // no answer is due
    while (socket.isOpen) {
      const message = await socket.next({ withinMs: Math.min(pingAt, pongBy) - performance.now() });
      if (isPong(message)) pongBy = Infinity;
      const now = performance.now();
      if (now >= pongBy) return socket.close(1008, "no pong");
      if (now < pingAt) continue;
      socket.send({ type: "ping" });
      while (pingAt <= now) pingAt += heartbeatMs; // a process that was stopped for a while owes no pings
      pongBy = Math.min(pongBy, now + pongMs); // of several pings without an answer, the first one's
    }
  });
}

function isPong(message: unknown): boolean {
  return typeof message === "object" && message !== null && "type" in message && message.type === "pong";
}
