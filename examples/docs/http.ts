import { createServer, type Server } from "node:http";
import type { Hub } from "fanfare";
import { fetchApi, httpApi, type ApiHub } from "fanfare/http";

// #region node
/** The app's own server, with the hub's calls before its own. */
export function serveApp(hub: ApiHub & Pick<Hub, "attach">, key: string): Server {
  const calls = httpApi(hub, { apiKeys: [{ name: "orders", key }], origins: ["https://app.example.com"] });
  const server = createServer((request, response) => {
    void (async () => {
      if (await calls(request, response)) return; // /v1/…, /healthz or /readyz, and answered
      response.end("the app");
    })();
  });
  hub.attach(server);
  return server;
}
// #endregion

// #region fetch
/** For hosts that speak fetch. In Hono: `app.all("/v1/*", (c) => api(c.req.raw))`. */
export function fetchHandler(hub: ApiHub, key: string): (request: Request) => Promise<Response> {
  return fetchApi(hub, { apiKeys: [{ name: "orders", key }] });
}
// #endregion
