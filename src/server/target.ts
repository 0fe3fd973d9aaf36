import type { IncomingMessage } from "node:http";

/** The path as it was sent, without the query and not decoded. */
export function pathOf(request: IncomingMessage): string {
  const url = request.url ?? "";
  const mark = url.indexOf("?");
  return mark === -1 ? url : url.slice(0, mark);
}
