import { readFile } from "node:fs/promises";
import { compactVerify, createRemoteJWKSet, customFetch, errors, type FetchImplementation } from "jose";
import { isObject, type JsonObject } from "../../protocol/json.ts";

/** Keys in a set are public, so an HMAC with one of them proves nothing: asymmetric algorithms only. */
const algorithms = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split(" ");

/** After a failed read of the set, the time for which others fail at once, so that a storm of connects is no storm there. */
const failureRestMs = 1_000;
const fetchTimeoutMs = 5_000;
/** The least time between two reads of the set for the sake of an unknown `kid`: anyone can make one up. */
const unknownKeyRestMs = 30_000;

/**
 * Reads tokens signed with a key of the set at `address`. A `kid` that is not in the set makes it read the set again, but
 * not within 30 s of the last time. A token that names no `kid` is good only where one key of the set fits.
 *
 * Rejects where the set is needed and cannot be read. Throws a TypeError on an address that is none.
 */
export function keySetReader(
  address: string | URL,
  now: () => number,
): (token: string) => Promise<JsonObject | undefined> {
  const keys = createRemoteJWKSet(parseAddress(address), {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: unknownKeyRestMs,
    [customFetch]: restAfterFailure(load, now),
  });
  return async (token) => {
    try {
      const { payload } = await compactVerify(token, keys, { algorithms });
      return parseClaims(payload);
    } catch (error) {
      if (isTokensFault(error)) return undefined;
      throw error;
    }
  };
}

function isTokensFault(error: unknown): boolean {
  return (
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  );
}

function parseClaims(payload: Uint8Array): JsonObject | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload).toString("utf8"));
    return isObject(claims) ? claims : undefined;
  } catch {
    return undefined;
  }
}

function parseAddress(address: string | URL): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !["https:", "http:", "file:"].includes(url.protocol)) {
    throw new TypeError("jwks must be an https:, http: or file: URL");
  }
  return url;
}

const load: FetchImplementation = async (address, options) => {
  const url = new URL(address);
  if (url.protocol === "file:") return new Response(await readFile(url, "utf8"));
  const response = await fetch(url, options);
  if (response.status === 200) return response;
  await response.body?.cancel();
  const error = new Error(`the key set at ${url.host} answered with status ${response.status}`);
  // A log tells an error's code, not its words.
  throw Object.assign(error, { code: `KEY_SET_STATUS_${response.status}` });
};

function restAfterFailure(inner: FetchImplementation, now: () => number): FetchImplementation {
  let failed: { at: number; error: unknown } | undefined;
  return async (address, options) => {
    // Either way: a clock that was set back must not stretch the rest.
    if (failed !== undefined && Math.abs(now() - failed.at) < failureRestMs) throw failed.error;
    try {
      const response = await inner(address, options);
      failed = undefined;
      return response;
    } catch (error) {
      failed = { at: now(), error };
      throw error;
    }
  };
}
