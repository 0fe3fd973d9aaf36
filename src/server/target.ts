import type { IncomingMessage } from "node:http";

/** The path as it was sent, without the query and not decoded. */
export function pathOf(request: IncomingMessage): string {
  const url = request.url ?? "";
  const mark = url.indexOf("?");
  return mark === -1 ? url : url.slice(0, mark);
}

/** Where a request came from, as the socket says. */
export function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? "";
}
