import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { queryOf } from "../server/auth/credentials.ts";
import { headerValues } from "../server/headers.ts";
import { headersOf, pathOf } from "../server/target.ts";
import { HttpError } from "./errors.ts";

/** A request, however it came: by node:http, or as a fetch Request. */
export interface HttpRequest {
  readonly method: string;
  /** As it was sent: not decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The client's; empty where it is not known. */
  readonly address: string;
  /** All values of a header, joined by a comma and a space: one byte of it is one character. */
  header(name: string): string | undefined;
  /** Reads the body to its end. Rejects with 413 over the bound, as soon as that is known, and 400 where it breaks off. */
  body(maxBytes: number): Promise<Buffer>;
}

/** `address` is the client's, where the caller needs it. */
export function nodeRequest(request: IncomingMessage, address = ""): HttpRequest {
  return {
    method: request.method ?? "",
    path: pathOf(request),
    query: queryOf(request.url),
    headers: headersOf(request),
    address,
    header: (name) => joined(headerValues(request.rawHeaders, name)),
    // Node reads and drops the rest of one that is too large, for as long as the server's `requestTimeout` allows: a
    // socket cut off while it sends would never see the answer.
    body: (maxBytes) => collect(request.headers, request.iterator({ destroyOnReturn: false }), maxBytes),
  };
}

/** `address` is the peer's, where the host knows it. */
export function fetchRequest(request: Request, address: string): HttpRequest {
  const url = new URL(request.url);
  // Where the host leaves it out, the address that was asked for stands for it.
  const headers: IncomingHttpHeaders = { host: url.host, ...Object.fromEntries(request.headers) };
  return {
    method: request.method,
    path: url.pathname,
    query: url.searchParams,
    headers,
    address,
    header: (name) => request.headers.get(name) ?? undefined,
    body: (maxBytes) => collect(headers, request.body ?? [], maxBytes),
  };
}

function joined(values: readonly string[]): string | undefined {
  return values.length === 0 ? undefined : values.join(", ");
}

async function collect(
  headers: IncomingHttpHeaders,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): Promise<Buffer> {
  if (Number(headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const kept: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      kept.push(chunk);
    }
  } catch (error) {
    // The peer is gone, most likely: nobody's fault here, and nobody left to tell.
    throw error instanceof HttpError ? error : new HttpError(400, "bad_frame", "the body broke off");
  }
  return Buffer.concat(kept);
}

export function tooLarge(maxBytes: number): HttpError {
  return new HttpError(413, "too_large", `the body is larger than ${maxBytes} bytes`);
}
