import type { KeyRef, LogEntry } from "../backend.ts";

/** The names of keys and channels. A room's keys share a hash tag, so that they stay together in a cluster. */
export class Names {
  readonly term: string;
  readonly #prefix: string;
  readonly #channels: string;

  constructor(prefix: string, db: number) {
    this.#prefix = prefix;
    this.term = `${prefix}term`;
    // Channels are not the database's, as keys are.
    this.#channels = db === 0 ? `${prefix}room:` : `${prefix}${db}:room:`;
  }

  meta(room: string): string {
    return `${this.#prefix}{${room}}:meta`;
  }

  log(room: string): string {
    return `${this.#prefix}{${room}}:log`;
  }

  key(room: string, { scope, key }: KeyRef): string {
    return `${this.#prefix}{${room}}:key:${scope.length}:${scope}${key}`;
  }

  fact(key: string): string {
    return `${this.#prefix}fact:${key}`;
  }

  /** What one node alone writes and listens to. */
  probe(node: string): string {
    return `${this.#prefix}probe:${node}`;
  }

  channel(room: string): string {
    return this.#channels + room;
  }

  /** The room of a channel; undefined: it is no room's. */
  roomOf(channel: string): string | undefined {
    return channel.startsWith(this.#channels) ? channel.slice(this.#channels.length) : undefined;
  }
}

/** What comes over a room's channel: a message that was kept, as the script `append` writes it, or a relayed text. */
export type Pushed =
  | { readonly kind: "message"; readonly epoch: string; readonly entry: LogEntry }
  | { readonly kind: "text"; readonly text: string };

export function encodeText(text: string): string {
  return `r${text}`;
}

/** A connection's name, as it may stand in the first line of a push. */
export function encodeExcept(except: string | undefined): string {
  return except === undefined ? "" : encodeURIComponent(except);
}

/** Undefined: nothing that Fanfare sent. The body is not looked into. */
export function decodePush(text: string): Pushed | undefined {
  if (text.startsWith("r")) return { kind: "text", text: text.slice(1) };
  const end = text.indexOf("\n");
  if (!text.startsWith("m") || end === -1) return undefined;
  const [epoch = "", offset = "", at, except = ""] = text.slice(1, end).split(" ");
  if (!/^[1-9]\d{0,15}$/.test(offset)) return undefined;
  try {
    return { kind: "message", epoch, entry: entryOf(Number(offset), Number(at), text.slice(end + 1), except) };
  } catch {
    return undefined;
  }
}

/** Entries as XRANGE gives them. Throws where they are not what the script `append` wrote. */
export function decodeEntries(reply: unknown): LogEntry[] {
  if (!Array.isArray(reply)) throw new Error("the log gave no entries");
  return reply.map((each: unknown) => {
    const [id, fields] = each as readonly [string, readonly string[]];
    const [b, body, a, at, , except = ""] = fields;
    if (b !== "b" || a !== "a" || body === undefined)
      throw new Error(`FOREIGN the log's entry ${id} holds something else`);
    return entryOf(Number(id.slice(0, id.indexOf("-"))), Number(at), body, except);
  });
}

/** Throws a URIError on a connection's name that `encodeExcept` did not write. */
function entryOf(offset: number, at: number, body: string, except: string): LogEntry {
  return except === "" ? { offset, body, at } : { offset, body, at, except: decodeURIComponent(except) };
}
