import type { IncomingMessage } from "node:http";

/** RFC 9112, section 3.2.2: how a client asks that takes this server for a proxy. */
const absoluteForm = /^https?:\/\/([^/?#@\s]+)(?=[/?#]|$)/i;

/** The path as it was sent, without the query and not decoded; of a target in absolute form, too. */
export function pathOf({ url = "" }: Pick<IncomingMessage, "url">): string {
  const mark = url.indexOf("?");
  const target = mark === -1 ? url : url.slice(0, mark);
  if (target.startsWith("/")) return target;
  const [origin] = absoluteForm.exec(target) ?? [];
  if (origin === undefined) return target;
  return target.length === origin.length ? "/" : target.slice(origin.length);
}

/** Headers whose `host` is that of the target where it is in absolute form, as the RFC has it, whatever was sent. */
export function headersOf({ url = "", headers }: Pick<IncomingMessage, "url" | "headers">): IncomingMessage["headers"] {
  const [, host] = url.startsWith("/") ? [] : (absoluteForm.exec(url) ?? []);
  return host === undefined ? headers : { ...headers, host };
}
