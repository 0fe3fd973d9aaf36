import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { type JsonObject, maxDepth, readJsonObject } from "../protocol/json.ts";
import { HttpError } from "./errors.ts";
import { type HttpRequest, tooLarge } from "./request.ts";

const inflate = promisify(gunzip);

const faults = {
  bad_frame: "the body must be a JSON object",
  too_deep: `JSON nests at most ${maxDepth} deep`,
  bad_field: "a number is out of range",
} as const;

/**
 * Reads a JSON object of up to `maxBytes`, gzip or plain. Throws 415 for another content type or encoding, 413 over the
 * bound, before or after inflating, and 400 for what is no such object.
 */
export async function readJsonBody(
  request: Pick<HttpRequest, "header" | "body">,
  maxBytes: number,
): Promise<JsonObject> {
  const [type = ""] = (request.header("content-type") ?? "").split(";", 1);
  if (type.trim().toLowerCase() !== "application/json") {
    throw unsupported("the body must be application/json");
  }
  const encoding = (request.header("content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding !== "identity" && encoding !== "gzip") throw unsupported("the body must be plain or gzip");
  const sent = await request.body(maxBytes);
  const read = readJsonObject(decodeUtf8(encoding === "gzip" ? await inflateWithin(sent, maxBytes) : sent));
  if (!read.ok) throw new HttpError(400, read.code, faults[read.code]);
  return read.value;
}

/** Stops at the bound: a few bytes could become gigabytes. */
async function inflateWithin(bytes: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await inflate(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    throw code === "ERR_BUFFER_TOO_LARGE" ? tooLarge(maxBytes) : unsupported("the body is not the gzip that it says");
  }
}

function unsupported(message: string): HttpError {
  return new HttpError(415, "unsupported_media_type", message, { "accept-encoding": "gzip" });
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new HttpError(400, "bad_frame", "the body must be UTF-8");
  }
}
