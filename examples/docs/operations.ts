import { createServer } from "node:http";
import type { Hub } from "fanfare";
// #region imports-traces
import { createHub, jwt } from "fanfare";
import { openTelemetry } from "fanfare/opentelemetry";
// #endregion

// #region shutdown
export function serveHub(hub: Pick<Hub, "ready" | "attach" | "close">, drainMs = 5_000) {
  const server = createServer((request, response) => {
    void (async () => {
      if (request.url === "/healthz") return response.end("up");
      if (request.url === "/readyz") {
        const { ready, reasons } = await hub.ready();
        return response.writeHead(ready ? 200 : 503).end(JSON.stringify({ ready, reasons }));
      }
      return response.writeHead(404).end();
    })();
  });
  hub.attach(server);

  const stop = async (): Promise<void> => {
    await hub.close({ drainMs }); // not ready, clients told, closed one after the other, the log on disk
    server.close();
    server.closeAllConnections();
  };
  process.once("SIGTERM", () => void stop());
  return { server, stop };
}
// #endregion

// #region traces
export function tracedHub(secret: string) {
  return createHub({ auth: jwt({ secret }), tracing: openTelemetry() });
}
// #endregion
