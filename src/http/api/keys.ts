import type { Identity } from "../../server/auth/identity.ts";
import { createHash, timingSafeEqual } from "node:crypto";
import { isToken } from "../../protocol/names.ts";
import { BackendUnavailable, type Caller } from "../../server/index.ts";
import { badField, HttpError, unavailable } from "../errors.ts";
import type { HttpRequest } from "../request.ts";
import type { ApiHub } from "./route.ts";

/** A key of the operator. */
export interface ApiKey {
  /** For the documents of its owner, and the scope of what it publishes with an `Idempotency-Key`: two may share it. */
  readonly name: string;
  /** As a program sends it after `Bearer`: visible characters. */
  readonly key: string;
}

/** Tells on whose word a request is made. */
export class Callers {
  readonly #hub: Pick<ApiHub, "authenticate" | "calls" | "limits">;
  readonly #keys: readonly { readonly name: string; readonly hash: Buffer }[];

  /** Throws a TypeError on a key that no request could carry, without telling the key. */
  constructor(hub: Pick<ApiHub, "authenticate" | "calls" | "limits">, keys: readonly ApiKey[]) {
    this.#hub = hub;
    this.#keys = keys.map(({ name, key }) => {
      if (!/^[^\s,]+$/.test(key))
        throw new TypeError(`the API key ${JSON.stringify(name)} must be text without spaces or commas`);
      return { name, hash: hashOf(Buffer.from(key)) };
    });
  }

  /**
   * Throws 401 for what is neither a known key nor a good token, 503 where that cannot be told now, and 429 where the
   * address asks too much: but for an API key, it counts whoever asks, and before the token is checked.
   */
  async callerOf(request: HttpRequest, cost: number): Promise<Caller> {
    const token = /^bearer +([^ ]+) *$/i.exec(request.header("authorization") ?? "")?.[1];
    const name = token === undefined ? undefined : this.#nameOf(token);
    if (name !== undefined) return { kind: "operator", name };
    this.#hub.calls.allow({ address: request.address }, cost);
    if (token === undefined) throw unauthorized();
    const { path, query, headers, address } = request;
    const facts = { path, query, headers, address };
    const ask = async (): Promise<Identity | undefined> => this.#hub.authenticate({ kind: "bearer", token }, facts);
    const identity = await inTime(ask(), this.#hub.limits.authWithinMs).catch((error: unknown) =>
      Promise.reject(unavailable(error)),
    );
    if (identity === undefined) throw unauthorized();
    return { kind: "user", identity };
  }

  /** Takes the same time wherever the texts differ: hashes are compared, and with every key. */
  #nameOf(token: string): string | undefined {
    const given = hashOf(Buffer.from(token, "latin1"));
    let found: string | undefined;
    for (const { name, hash } of this.#keys) if (timingSafeEqual(given, hash)) found = name;
    return found;
  }
}

function hashOf(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** A check of the app's own that never ends must not hold its call, and what comes with it, for ever. */
function inTime<T>(answer: Promise<T>, withinMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new BackendUnavailable(`the check of a token took more than ${withinMs} ms`);
    timer = setTimeout(() => reject(error), withinMs);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

function unauthorized(): HttpError {
  return new HttpError(401, "unauthorized", "this call wants Authorization: Bearer and an API key or a valid token", {
    "www-authenticate": "Bearer",
  });
}

/** The `key` of P-31, whose bytes are UTF-8. Throws `bad_field` for what is none. */
export function idempotencyKey(request: Pick<HttpRequest, "header">): string | undefined {
  const given = request.header("idempotency-key");
  if (given === undefined) return undefined;
  const key = Buffer.from(given, "latin1").toString("utf8");
  if (isToken(key) && !key.includes("\u{fffd}")) return key;
  throw badField("Idempotency-Key must be 1 to 64 characters of UTF-8");
}
