import type { Json } from "./json.ts";
import type { ServerFrame } from "./frames.ts";

/** A server's frame as it goes on the wire. Members that are undefined are left out. */
export function encodeFrame(frame: ServerFrame): string {
  return JSON.stringify(frame);
}

/** What a publisher decides of a message; the log adds its offset. */
export interface Draft {
  readonly event: string;
  /** The message's data as JSON text, so that it is written once and stays the same bytes for ever. */
  readonly dataJson: string;
  readonly from: string | undefined;
  readonly key: string | undefined;
  readonly at: number;
}

/**
 * A message's members but for its room and offset, as JSON text without braces. This is what a log keeps: with the room
 * and offset in front it is the frame, live and replayed, byte for byte.
 */
export function encodeBody(draft: Draft): string {
  const from = draft.from === undefined ? "" : `,"from":${JSON.stringify(draft.from)}`;
  const key = draft.key === undefined ? "" : `,"key":${JSON.stringify(draft.key)}`;
  return `"event":${JSON.stringify(draft.event)},"data":${draft.dataJson}${from},"at":${draft.at}${key}`;
}

/** The part of a room's message frames that is the same in all of them. */
export function messagePrefix(room: string): string {
  return `{"type":"message","room":${JSON.stringify(room)},`;
}

export function encodeMessage(prefix: string, entry: { offset: number; prev?: number; body: string }): string {
  return `${prefix}${numbering(entry)}${entry.body}}`;
}

/** A message of a room that keeps no log. */
export function encodeUnkept(prefix: string, body: string): string {
  return `${prefix}${body}}`;
}

/** A message as one of the `messages` of `history` (P-36). */
export function encodeKept(entry: { offset: number; prev?: number; body: string }): string {
  return `{${numbering(entry)}${entry.body}}`;
}

function numbering(entry: { offset: number; prev?: number }): string {
  const prev = entry.prev === undefined ? "" : `"prev":${entry.prev},`;
  return `"offset":${entry.offset},${prev}`;
}

export function encodeSignal(signal: {
  room: string | undefined;
  event: string;
  dataJson: string;
  from: string | undefined;
  at: number;
}): string {
  const room = signal.room === undefined ? "" : `"room":${JSON.stringify(signal.room)},`;
  const from = signal.from === undefined ? "" : `,"from":${JSON.stringify(signal.from)}`;
  return `{"type":"signal",${room}"event":${JSON.stringify(signal.event)},"data":${signal.dataJson}${from},"at":${signal.at}}`;
}

/** JSON text of a value from the app. Throws a TypeError on what JSON cannot hold, undefined included. */
export function encodeJson(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError("data must be something that JSON can hold");
  return text;
}

/** Reads JSON text that `encodeJson` wrote. */
export function decodeJson(text: string): Json {
  return JSON.parse(text) as Json;
}
