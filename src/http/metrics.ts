import type { Hub } from "../server/index.ts";
import { pathOf } from "../server/target.ts";
import { type Operation, requireMethod, send } from "./answer.ts";

/** `GET /metrics` (P-80): the hub's numbers for Prometheus. No key, as there is nothing of users in them. */
export function metricsOperation(hub: Pick<Hub, "metrics">): Operation {
  return async (request, response) => {
    if (pathOf(request) !== "/metrics") return false;

    requireMethod(request, "GET", "HEAD");
    const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8", "cache-control": "no-store" };
    send(response, { status: 200, headers, body: await hub.metrics() });
    return true;
  };
}
