/** What is passed on and not kept: signals, and the messages of rooms without a log. */
export type RelayKind = "signal" | "message";

/** A relayed text, read. */
export type Relayed =
  | { readonly kind: RelayKind; readonly except: string | undefined; readonly frame: string }
  /** For nodes alone. */
  | { readonly kind: "node"; readonly text: string };

/** `except` is the id of a connection that does not get it. */
export function encodeRelay(kind: RelayKind | "node", except: string | undefined, frame: string): string {
  return `${kind} ${except ?? ""}\n${frame}`;
}

export function readRelay(relayed: string): Relayed {
  const [head, frame] = splitOnce(relayed, "\n");
  const [kind, except] = splitOnce(head, " ");
  if (kind === "node") return { kind, text: frame };
  return { kind: kind === "signal" ? kind : "message", except: except === "" ? undefined : except, frame };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}
