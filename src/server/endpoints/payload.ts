import { encodeJson } from "../../protocol/encode.ts";
import type { Payload } from "../wire.ts";

/**
 * A string is sent as the text that it is, bytes (a Buffer, another view, an ArrayBuffer) as a binary message, and any
 * other object, array or null as JSON text.
 */
export type Sendable = string | ArrayBufferView | ArrayBuffer | object | null;

/** `copy`: the bytes are kept until the turn ends, and the caller may write to its own meanwhile. */
export function encodePayload(data: Sendable, copy?: "copy"): Payload {
  if (typeof data === "string") return data;
  const bytes = bytesOf(data);
  if (bytes === undefined) return encodeJson(data);
  return copy === undefined ? bytes : Buffer.from(bytes);
}

/** As JSON these would be an empty object. */
function bytesOf(data: object | null): Uint8Array | undefined {
  if (data instanceof Uint8Array) return data;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : undefined;
}
