import { timingSafeEqual, createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Hub, Identity } from "../server/index.ts";
import { HttpError, type Operation, pathOf, requireMethod, sendJson } from "./answer.ts";
import { readBody } from "./body.ts";
import { allowOrigin } from "./cors.ts";

export interface TicketOptions {
  /** Origins whose pages may call, as the hub's. */
  readonly origins: readonly string[] | undefined;
  /** The operator's keys. They stand for no user, so they get no ticket (403). */
  readonly apiKeys: readonly string[];
}

/**
 * `POST /v1/tickets` (P-16): a user's token in `Authorization: Bearer` becomes `{ticket, expires_at}`. The call needs no
 * body; a small one is ignored, because some HTTP clients cannot post without.
 */
export function tickets(
  hub: Pick<Hub, "authenticate"> & { readonly tickets: Pick<Hub["tickets"], "create"> },
  options: TicketOptions,
): Operation {
  return async (request, response) => {
    if (pathOf(request) !== "/v1/tickets") return false;
    if (allowOrigin(request, response, options.origins, "POST")) return true;
    requireMethod(request, "POST");
    await readBody(request);
    const token = bearer(request);
    const identity = token === undefined ? undefined : await identify(hub, token, request);
    if (identity === undefined) throw refusal(token, options.apiKeys);
    sendJson(response, 200, await available(hub.tickets.create(identity)));
    return true;
  };
}

function bearer(request: IncomingMessage): string | undefined {
  return /^bearer +([^ ]+) *$/i.exec(request.headers.authorization ?? "")?.[1];
}

function identify(
  hub: Pick<Hub, "authenticate">,
  token: string,
  request: IncomingMessage,
): Promise<Identity | undefined> {
  const facts = {
    path: pathOf(request),
    query: new URLSearchParams(),
    headers: request.headers,
    address: request.socket.remoteAddress ?? "",
  };
  return available(hub.authenticate({ kind: "bearer", token }, facts));
}

function refusal(token: string | undefined, apiKeys: readonly string[]): HttpError {
  if (token !== undefined && isKnownKey(token, apiKeys)) {
    return new HttpError(403, "forbidden", "a ticket is made from a user's token; an API key stands for no user");
  }
  return new HttpError(401, "unauthorized", "this call wants Authorization: Bearer and a valid token", {
    "www-authenticate": "Bearer",
  });
}

/** Takes the same time wherever the texts differ: hashes are compared, and all keys every time. */
function isKnownKey(token: string, apiKeys: readonly string[]): boolean {
  const given = createHash("sha256").update(token).digest();
  const matches = apiKeys.filter((key) => timingSafeEqual(given, createHash("sha256").update(key).digest()));
  return matches.length > 0;
}

/** What cannot be told now is the caller's to try again (P-13); why is for the log of whoever failed. */
async function available<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    const error = new HttpError(503, "unavailable", "this cannot be answered now; try again", { "retry-after": "1" });
    error.cause = cause;
    throw error;
  }
}
