import { type MsgHdrs, headers } from "@nats-io/transport-node";
import type { LogEntry, NewEntry } from "../backend.ts";

/** What a message of the log is: an entry, or a mark that is none (the room's birth, or that somebody is still there). */
export interface Stamp {
  readonly kind: "entry" | "mark";
  /** The life of the room that it belongs to. */
  readonly life: string;
  /** The life of the stream in which it was sent. */
  readonly streamLife: string;
  readonly at: number;
  /** Of a mark: the offset of the room's newest message before it; 0 where it is the birth. */
  readonly head: number;
}

/** What a repeated publish with the same key is answered with. */
export interface KeyMark {
  readonly fingerprint: string;
  readonly resultJson: string | undefined;
  readonly until: number;
}

export interface Logged {
  readonly stamp: Stamp;
  readonly body: string;
  readonly except: string | undefined;
  readonly key: KeyMark | undefined;
}

const stampName = "Fanfare";
export const idName = "Nats-Msg-Id";

/** The stamp stands in a header, so that a log's shape can be read without its bodies. */
export function stampHeaders({ kind, life, streamLife, at, head }: Stamp, id: string): MsgHdrs {
  const all = headers();
  all.set(stampName, `${kind} ${life} ${streamLife} ${at} ${head}`);
  all.set(idName, id);
  return all;
}

/** undefined: not one of ours. */
export function readStamp(of: MsgHdrs | undefined): Stamp | undefined {
  return parseStamp(of?.get(stampName) ?? "");
}

export function parseStamp(text: string): Stamp | undefined {
  const [, kind, life, streamLife, at, head] = /^(entry|mark) (\S+) (\S+) (-?\d+(?:\.\d+)?) (\d+)$/.exec(text) ?? [];
  if (life === undefined || streamLife === undefined) return undefined;
  return { kind: kind === "mark" ? "mark" : "entry", life, streamLife, at: Number(at), head: Number(head) };
}

/** A line of JSON, empty for most, then the body as it is. */
export function encodePayload({ body, except }: NewEntry, key: KeyMark | undefined): string {
  if (except === undefined && key === undefined) return `\n${body}`;
  const facts = [except ?? null, ...(key === undefined ? [] : [key.fingerprint, key.resultJson ?? null, key.until])];
  return `${JSON.stringify(facts)}\n${body}`;
}

export function decodePayload(text: string): Omit<Logged, "stamp"> {
  const end = text.indexOf("\n");
  const body = text.slice(end + 1);
  if (end <= 0) return { body, except: undefined, key: undefined };
  const [except, fingerprint, result, until] = JSON.parse(text.slice(0, end)) as [
    string | null,
    string?,
    (string | null)?,
    number?,
  ];
  const key =
    fingerprint === undefined ? undefined : { fingerprint, resultJson: result ?? undefined, until: until ?? 0 };
  return { body, except: except ?? undefined, key };
}

export function toEntry(offset: number, prev: number, at: number, { body, except }: Omit<Logged, "stamp">): LogEntry {
  return {
    offset,
    ...(prev !== offset - 1 && { prev }),
    body,
    at,
    ...(except !== undefined && { except }),
  };
}
