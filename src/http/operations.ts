import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Hub, Logger } from "../server/index.ts";
import { HttpError, type Operation, sendError } from "./answer.ts";
import { health } from "./health.ts";
import { tickets } from "./tickets.ts";

/** What the calls need of a hub. */
export type OperatedHub = Pick<Hub, "ready" | "authenticate"> & { readonly tickets: Pick<Hub["tickets"], "create"> };

export interface OperationsOptions {
  /** Origins whose pages may call (P-80), as given to the hub. Absent: the server's own. */
  readonly origins?: readonly string[];
  readonly apiKeys?: readonly string[];
  readonly logger?: Pick<Logger, "warn" | "error">;
  /** Further calls, asked after the hub's own. */
  readonly extra?: readonly Operation[];
}

/**
 * The HTTP calls of a hub: `/healthz`, `/readyz` and `POST /v1/tickets`; the socket's path is the hub's own. Resolves to
 * false, the response untouched, for any other address. Failures become the JSON of P-80; it never rejects.
 */
export function operations(
  hub: OperatedHub,
  options: OperationsOptions = {},
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  const all: readonly Operation[] = [
    health(hub),
    tickets(hub, { origins: options.origins, apiKeys: options.apiKeys ?? [] }),
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
