import type { Hub } from "../server/index.ts";
import { type Operation, pathOf, requireMethod, sendJson } from "./answer.ts";

/** `GET /healthz`: the process is up. `GET /readyz`: it can serve now (200), or cannot and why (503). No key, no secrets. */
export function health(hub: Pick<Hub, "ready">): Operation {
  return async (request, response) => {
    const path = pathOf(request);
    if (path !== "/healthz" && path !== "/readyz") return false;
    requireMethod(request, "GET", "HEAD");
    if (path === "/healthz") {
      sendJson(response, 200, { status: "up" });
      return true;
    }
    const state = await hub.ready();
    sendJson(response, state.ready ? 200 : 503, state);
    return true;
  };
}
