import { decodeJson } from "../protocol/encode.ts";

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

/**
 * Throws a SyntaxError on what `encodeRelay` did not write. `isShared`: others can write there too, so that what is to be
 * a frame is looked at before members get it.
 */
export function readRelay(relayed: string, isShared: boolean): Relayed {
  const end = relayed.indexOf("\n");
  const [kind, except] = relayed.slice(0, Math.max(0, end)).split(" ");
  const frame = relayed.slice(end + 1);
  if (kind === "node") return { kind, text: frame };
  if (kind !== "signal" && kind !== "message") throw new SyntaxError("not of a node");
  if (isShared && !frame.startsWith(`{"type":"${kind}",`)) throw new SyntaxError("not a frame");
  if (isShared) decodeJson(frame);
  return { kind, except: except === "" ? undefined : except, frame };
}
