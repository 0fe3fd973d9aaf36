import { encodeJson } from "../../protocol/encode.ts";
import type { Payload } from "../wire.ts";

/** A string is sent as the text that it is, bytes as a binary message, and an object, array or null as JSON text. */
export type Sendable = string | Uint8Array | object | null;

/** `copy`: the bytes are kept until the turn ends, and the caller may write to its own meanwhile. */
export function encodePayload(data: Sendable, copy?: "copy"): Payload {
  if (typeof data === "string") return data;
  if (data instanceof Uint8Array) return copy === undefined ? data : Buffer.from(data);
  return encodeJson(data);
}
