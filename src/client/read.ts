import { parseCursor } from "../protocol/cursor.ts";
import type { ServerFrame } from "../protocol/frames.ts";

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const flag: Check = (value) => typeof value === "boolean";
const object: Check = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const cursor: Check = (value) => text(value) && parseCursor(value as string) !== undefined;
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const members = list((value) => has(value, "user"));

/** A field has one form wherever it stands. What is not here is not looked at, or may be anything. */
const forms: { readonly [field: string]: Check } = {
  re: text,
  room: text,
  event: text,
  from: text,
  key: text,
  user: text,
  connection: text,
  reason: text,
  code: text,
  message: text,
  cursor,
  at: count,
  offset: count,
  prev: count,
  members: count,
  replay: count,
  ping_ms: count,
  message_bytes: count,
  rooms: count,
  requests_per_s: count,
  dedupe_ms: count,
  retry_after_ms: count,
  more: flag,
  recovered: flag,
  rights: list(text),
  joined: members,
  left: members,
  updated: members,
  all: members,
  presence: members,
  limits: (value) => has(value, "message_bytes rooms requests_per_s dedupe_ms"),
  messages: list((value) => has(value, "event at offset")),
  issues: list((value) => has(value, "message")),
};

/** What each frame cannot do without. */
const required: { readonly [T in ServerFrame["type"]]: string } = {
  welcome: "connection user ping_ms limits",
  auth_required: "",
  reauth: "",
  authed: "",
  joined: "room replay members rights",
  left: "room",
  ack: "re",
  message: "room event at",
  skip: "room offset",
  gap: "room cursor reason",
  history: "re messages cursor more",
  signal: "event at",
  presence: "room members",
  ping: "",
  pong: "",
  drain: "retry_after_ms",
  error: "code",
  closed: "",
};

/** Whether a value is an object with all of these fields, and no field of a wrong form. */
function has(value: unknown, fields: string): boolean {
  if (!object(value)) return false;
  const known = value as Record<string, unknown>;
  return (
    fields.split(" ").every((name) => name === "" || Object.hasOwn(known, name)) &&
    Object.keys(known).every((name) => !Object.hasOwn(forms, name) || forms[name]?.(known[name]))
  );
}

/**
 * Reads what a server sent. `undefined`: a frame of a later version, of no concern. `malformed`: not a frame, or one
 * without what the protocol promises of it. Never throws.
 */
export function readServerFrame(data: unknown): ServerFrame | "malformed" | undefined {
  let frame: unknown;
  try {
    frame = JSON.parse(data as string);
  } catch {
    return "malformed";
  }
  const type = object(frame) ? (frame as { type?: unknown }).type : undefined;
  if (typeof type !== "string") return "malformed";
  if (!Object.hasOwn(required, type)) return undefined;
  return has(frame, required[type as ServerFrame["type"]]) ? (frame as ServerFrame) : "malformed";
}
