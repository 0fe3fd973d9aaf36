import type { IncomingMessage } from "node:http";
import { type JsonObject, readJsonObject } from "../protocol/json.ts";
import { HttpError } from "./answer.ts";

/** The largest body that any call here takes. */
export const maxBodyBytes = 4_096;

const tooLarge = (): HttpError => new HttpError(413, "too_large", `the body is larger than ${maxBodyBytes} bytes`);

/** Reads a small JSON object. Throws 415 for another content type or any encoding, 413 over the bound, 400 otherwise. */
export async function readJsonBody(request: IncomingMessage): Promise<JsonObject> {
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0] ?? "";
  if (type.trim().toLowerCase() !== "application/json") {
    throw new HttpError(415, "unsupported_media_type", "the body must be application/json");
  }
  // Compressed bodies are refused rather than inflated: a few bytes could become gigabytes.
  if ((request.headers["content-encoding"] ?? "identity") !== "identity") {
    throw new HttpError(415, "unsupported_media_type", "the body must not be compressed");
  }
  const bytes = await readBody(request);
  const read = readJsonObject(decodeUtf8(bytes));
  if (!read.ok) throw new HttpError(400, read.code, "the body must be a JSON object");
  return read.value;
}

/**
 * Reads a body to its end. Throws 413 over the bound, as soon as that is known. Node then reads and drops the rest, for as
 * long as the server's `requestTimeout` allows: a socket cut off while it sends would never see the answer.
 */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new HttpError(400, "bad_frame", "the body must be UTF-8");
  }
}
