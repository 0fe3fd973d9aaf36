import type { AnyHub, EndpointSocket } from "fanfare";

/**
 * `/ws/with-heartbeat`: pings as messages of the app's own, for peers whose WebSocket shows them no others. The hub's own
 * heartbeat, by WebSocket pings, runs on every endpoint anyway.
 */
export function heartbeat(hub: AnyHub, { heartbeatMs = 30_000, pongMs = 10_000 } = {}): void {
  hub.endpoint("/ws/with-heartbeat", { receive: "json", invalid: () => undefined }, async ({ socket }) => {
    for (let pingAt = performance.now() + heartbeatMs; socket.isOpen; pingAt += heartbeatMs) {
      await quietUntil(socket, pingAt);
      socket.send({ type: "ping" });
      const cameBack = await pongBefore(socket, performance.now() + pongMs);
      if (!cameBack) return socket.close(1008, "no pong");
    }
  });
}

/** Reads what comes, and resolves at a moment, or when the peer is gone. */
async function quietUntil(socket: EndpointSocket, moment: number): Promise<void> {
  while (socket.isOpen && performance.now() < moment) await socket.next({ withinMs: moment - performance.now() });
}

async function pongBefore(socket: EndpointSocket, moment: number): Promise<boolean> {
  while (socket.isOpen && performance.now() < moment) {
    if (isPong(await socket.next({ withinMs: moment - performance.now() }))) return true;
  }
  return false;
}

function isPong(message: unknown): boolean {
  return typeof message === "object" && message !== null && "type" in message && message.type === "pong";
}
