import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Hub, Logger } from "../server/index.ts";
import { HttpError, type Operation, pathOf, sendError } from "./answer.ts";
import { health } from "./health.ts";
import { tickets } from "./tickets.ts";

export interface OperationsOptions {
  /** Origins whose pages may call (P-80). Absent: none but the server's own, which needs no leave. */
  readonly origins?: readonly string[];
  readonly apiKeys?: readonly string[];
  /** The socket's path, as given to the hub. Default `/ws`. */
  readonly path?: string;
  readonly logger?: Pick<Logger, "warn" | "error">;
  /** Further calls, asked after the hub's own. */
  readonly extra?: readonly Operation[];
}

/**
 * The HTTP calls of a hub: `/healthz`, `/readyz`, `POST /v1/tickets`, and 426 for the socket's path without an upgrade.
 * Resolves to false, the response untouched, for any other address. Failures become the JSON of P-80; it never rejects.
 */
export function operations(
  hub: Pick<Hub, "ready" | "tickets" | "authenticate">,
  options: OperationsOptions = {},
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  const all: readonly Operation[] = [
    health(hub),
    tickets(hub, { origins: options.origins ?? [], apiKeys: options.apiKeys ?? [] }),
    upgradeRequired(options.path ?? "/ws"),
    ...(options.extra ?? []),
  ];
  return async (request, response) => {
    try {
      for (const operation of all) {
        // oxlint-disable-next-line no-await-in-loop -- each is asked only if those before it declined
        if (await operation(request, response)) return true;
      }
      return false;
    } catch (error) {
      fail(request, response, error, options.logger);
      return true;
    }
  };
}

/** For a server of its own: what no operation answers gets 404. */
export function listener(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>,
): RequestListener {
  return (request, response) => {
    void answer(request, response).then((answered) => {
      if (!answered) sendError(response, new HttpError(404, "not_found", "nothing is at this address"));
    });
  };
}

/** P-15: a request on the socket's path that asks for no upgrade. */
function upgradeRequired(path: string): Operation {
  return (request) => {
    const asked = pathOf(request);
    if (asked !== path && !asked.startsWith(`${path}/`)) return false;
    throw new HttpError(426, "upgrade_required", "this address speaks WebSocket", {
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-version": "13",
    });
  };
}

function fail(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  logger: OperationsOptions["logger"],
): void {
  // The peer is gone: there is nobody left to answer, and no fault of ours to tell.
  if (response.headersSent || request.socket.destroyed) {
    response.destroy();
    return;
  }
  const known = error instanceof HttpError ? error : new HttpError(500, "internal", "something went wrong here");
  const facts = {
    method: request.method,
    status: known.status,
    error: error instanceof HttpError ? error.cause : error,
  };
  if (known.status === 503) logger?.warn(facts, "an HTTP call could not be answered");
  else if (known.status >= 500) logger?.error(facts, "an HTTP call failed");
  sendError(response, known);
}
