import { randomBytes } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { idMaker } from "../server/ids.ts";
import { errorAnswer, notFound, type Operation, send } from "./answer.ts";
import { Api, type ApiOptions } from "./api/api.ts";
import type { ApiHub } from "./api/route.ts";
import { logFailure, toHttpError } from "./errors.ts";
import { nodeRequest } from "./request.ts";

/** What `httpApi` takes. */
export interface HttpApiOptions extends ApiOptions {
  /** Further calls, asked after the hub's own. */
  readonly extra?: readonly Operation[];
}

/** Answers a request and resolves to true, or to false, the response untouched, where the address is not its own. */
export type HttpApi = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/**
 * The HTTP calls of a hub (P-80) for a node:http server: `/healthz`, `/readyz` and all below `/v1`; the socket's path is
 * the hub's own. It reads bodies itself, so it goes before an app's body parser. Failures become the JSON of P-80; it
 * never rejects. Throws a TypeError on an API key that no request could carry.
 */
export function httpApi(hub: ApiHub, options: HttpApiOptions = {}): HttpApi {
  const api = new Api(hub, options);
  const calls: Operation = async (request, response) => {
    const answer = await api.answer(nodeRequest(request, hub.addressOf(request)));
    if (answer !== undefined) send(response, answer);
    return answer !== undefined;
  };
  const newId = idMaker(randomBytes);
  const all: readonly Operation[] = [calls, ...(options.extra ?? [])];
  return async (request, response) => {
    try {
      for (const operation of all) {
        if (await operation(request, response)) return true;
      }
      return false;
    } catch (error) {
      fail(request, response, error, { logger: options.logger, newId });
      return true;
    }
  };
}

/** For a server of its own: what no operation answers gets 404. */
export function listener(answer: HttpApi): RequestListener {
  return (request, response) => {
    void answer(request, response).then((answered) => {
      if (!answered) send(response, errorAnswer(notFound()));
    });
  };
}

function fail(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  { logger, newId }: { logger: HttpApiOptions["logger"]; newId: () => string },
): void {
  // The peer is gone: there is nobody left to answer, and no fault of ours to tell.
  if (response.headersSent || request.socket.destroyed) {
    response.destroy();
    return;
  }
  const known = logFailure(logger, request.method, toHttpError(error), newId);
  send(response, errorAnswer(known));
}
