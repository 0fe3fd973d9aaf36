import { errorAnswer, notFound } from "./answer.ts";
import { Api, type ApiOptions } from "./api/api.ts";
import type { ApiHub } from "./api/route.ts";
import { fetchRequest } from "./request.ts";

/** What the host knows besides the request. */
export interface FetchFacts {
  /** The peer's address, for the app's `auth`. */
  readonly address?: string;
}

/**
 * The same calls as `httpApi`, for hosts that speak fetch: Hono takes it by `app.all("/v1/*", (c) => api(c.req.raw))`.
 * Any other address is 404. Never rejects. Throws as `httpApi` does.
 */
export function fetchApi(
  hub: ApiHub,
  options: ApiOptions = {},
): (request: Request, facts?: FetchFacts) => Promise<Response> {
  const api = new Api(hub, options);
  return async (request, { address = "" } = {}) => {
    const answer = (await api.answer(fetchRequest(request, address))) ?? errorAnswer(notFound());
    const { status, headers, body } = answer;
    return new Response(request.method === "HEAD" ? null : (body ?? null), { status, headers });
  };
}
