import { parseCursor } from "../protocol/cursor.ts";
import type { ServerFrame } from "../protocol/frames.ts";

type Check = (value: unknown) => boolean;
type Fields = { readonly [field: string]: Check };

const text: Check = (value) => typeof value === "string";
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const flag: Check = (value) => typeof value === "boolean";
const object: Check = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const cursor: Check = (value) => typeof value === "string" && parseCursor(value) !== undefined;
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const fields =
  (wanted: Fields): Check =>
  (value) =>
    object(value) && Object.keys(wanted).every((name) => wanted[name]?.((value as Record<string, unknown>)[name]));
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const maybeText = optional(text);
const maybeCount = optional(count);
const member = fields({ user: text });
const members = optional(list(member));
const message: Fields = { event: text, from: maybeText, at: count, key: maybeText, prev: maybeCount };

/** What the client relies on in each frame. Anything else that a frame has is not looked at. */
const forms: ReadonlyMap<unknown, Check> = new Map(
  Object.entries({
    welcome: fields({
      connection: text,
      user: text,
      ping_ms: count,
      limits: fields({ message_bytes: count, rooms: count, requests_per_s: count, dedupe_ms: count }),
    }),
    auth_required: object,
    reauth: object,
    authed: object,
    joined: fields({
      re: maybeText,
      room: text,
      cursor: optional(cursor),
      replay: count,
      recovered: optional(flag),
      members: count,
      rights: list(text),
      presence: members,
    }),
    left: fields({ room: text, reason: maybeText }),
    ack: fields({ re: text, offset: maybeCount, cursor: maybeText }),
    message: fields({ ...message, room: text, offset: maybeCount }),
    skip: fields({ room: text, offset: count }),
    gap: fields({ room: text, cursor, reason: text }),
    history: fields({ re: text, messages: list(fields({ ...message, offset: count })), cursor: text, more: flag }),
    signal: fields({ room: maybeText, event: text, from: maybeText, at: count }),
    presence: fields({ room: text, joined: members, left: members, updated: members, all: members, members: count }),
    ping: object,
    pong: object,
    // Hints and issues are looked at leniently where they are used: an answer that is lost over them would hang a promise.
    drain: object,
    error: fields({ re: maybeText, room: maybeText, code: text }),
    closed: object,
  } satisfies Record<ServerFrame["type"], Check>),
);

/**
 * Reads what a server sent. `undefined`: a frame of a later version, of no concern. `malformed`: not a frame, or one
 * without what the protocol promises of it. Never throws.
 */
export function readServerFrame(data: unknown): ServerFrame | "malformed" | undefined {
  let value: unknown;
  try {
    value = typeof data === "string" ? JSON.parse(data) : undefined;
  } catch {
    return "malformed";
  }
  if (!object(value)) return "malformed";
  const { type } = value as { type?: unknown };
  const form = forms.get(type);
  if (form === undefined) return typeof type === "string" ? undefined : "malformed";
  return form(value) ? (value as ServerFrame) : "malformed";
}
