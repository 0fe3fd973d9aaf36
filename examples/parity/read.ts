import type { IncomingMessage } from "node:http";

/** A body. Undefined: more came than is taken, whatever its headers said. What still comes is thrown away by node:http. */
export async function readText(request: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    body += String(chunk);
    if (Buffer.byteLength(body) > maxBytes) return undefined;
  }
  return body;
}

/** Undefined: it is no JSON. */
export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** A segment of a path. Undefined: it is not encoded as one. */
export function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
