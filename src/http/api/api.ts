import { randomBytes } from "node:crypto";
import { idMaker } from "../../server/ids.ts";
import type { Caller } from "../../server/index.ts";
import { type Answer, emptyAnswer, errorAnswer, methodNotAllowed } from "../answer.ts";
import { readJsonBody } from "../body.ts";
import { corsOf } from "../cors.ts";
import { type FailureLogger, HttpError, logFailure, toHttpError, unavailable } from "../errors.ts";
import type { HttpRequest } from "../request.ts";
import { readFields } from "./fields.ts";
import { type ApiKey, Callers, idempotencyKey } from "./keys.ts";
import type { ApiHub, Audience, Route } from "./route.ts";
import { find, type Found } from "./routes.ts";

/** Who may call, from what pages, and who is told of failures. */
export interface ApiOptions {
  /** Origins whose pages may call (P-80), as given to the hub. Absent: the server's own. */
  readonly origins?: readonly string[];
  readonly apiKeys?: readonly ApiKey[];
  readonly logger?: FailureLogger;
}

/** The calls of P-80 without a socket: a request in, an answer out. */
export class Api {
  readonly #hub: ApiHub;
  readonly #options: ApiOptions;
  readonly #callers: Callers;
  readonly #newId: () => string = idMaker(randomBytes);

  /** Throws a TypeError on an API key that no request could carry. */
  constructor(hub: ApiHub, options: ApiOptions) {
    this.#hub = hub;
    this.#options = options;
    this.#callers = new Callers(hub, options.apiKeys ?? []);
  }

  /** undefined: the address is not one of these. Never rejects. */
  async answer(request: HttpRequest): Promise<Answer | undefined> {
    const found = find(request.path);
    if (found === undefined) return undefined;
    const methods = [...found.methods.keys()];
    const { headers, isPreflight } = corsOf(request, this.#options.origins, methods.join(", "));
    const answer = isPreflight ? emptyAnswer(204) : await this.#settle(request, found, methods);
    return { ...answer, headers: { ...answer.headers, ...headers } };
  }

  async #settle(request: HttpRequest, found: Found, methods: readonly string[]): Promise<Answer> {
    try {
      if (request.method === "OPTIONS") return emptyAnswer(204, { allow: methods.join(", ") });
      const target = found.methods.get(request.method);
      if (target === undefined) throw methodNotAllowed(methods);
      return await (typeof target === "function" ? target(this.#hub) : this.#run(target, request, found.segments));
    } catch (error) {
      return errorAnswer(this.#fault(request, error));
    }
  }

  /** Who asks comes first: without a key nothing of the request is looked at, least of all its body. */
  async #run(route: Route, request: HttpRequest, segments: Found["segments"]): Promise<Answer> {
    const hub = this.#hub;
    await hub.start().catch((error: unknown) => Promise.reject(unavailable(error)));
    const caller = await this.#callers.callerOf(request, route.cost);
    checkAudience(route.audience, caller);
    if (caller.kind === "user") hub.calls.allow({ user: caller.identity.user }, route.cost);
    const path = readFields(route.pathFields, (name) => decoded(segments.get(name)));
    const query = readFields(route.query, (name) => onlyOne(request.query.getAll(name)));
    const key = route.keyed ? idempotencyKey(request) : undefined;
    const given = route.body && (await readJsonBody(request, route.body.maxBytes(hub.limits)));
    const body = readFields(route.body?.fields ?? {}, (name) =>
      given && Object.hasOwn(given, name) ? given[name] : undefined,
    );
    return route.run({ hub, caller, path, query, body, key, request, fault: (error) => this.#fault(request, error) });
  }

  #fault(request: HttpRequest, error: unknown): HttpError {
    const fault = toHttpError(error);
    return logFailure(this.#options.logger, request.method, fault, this.#newId);
  }
}

function checkAudience(audience: Audience, caller: Caller): void {
  if (audience === "key" && caller.kind === "user") throw new HttpError(403, "forbidden", "this call needs an API key");
  if (audience === "user" && caller.kind === "operator") {
    throw new HttpError(403, "forbidden", "a ticket is made from a user's token; an API key stands for no user");
  }
}

/** null is no text, so that what is malformed is `bad_field` and not merely absent. */
function decoded(segment: string | undefined): string | null {
  try {
    return decodeURIComponent(segment ?? "");
  } catch {
    return null;
  }
}

/** Twice in a query is neither of the two. */
function onlyOne(values: readonly string[]): unknown {
  return values.length > 1 ? values : values[0];
}
