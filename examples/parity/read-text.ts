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
