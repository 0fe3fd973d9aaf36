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

const spread = (names: string, check: Check): [string, Check][] => names.split(" ").map((name) => [name, check]);

/** A field has one form wherever it stands. What is not here is not looked at, or may be anything. */
const forms: ReadonlyMap<string, Check> = new Map([
  ...spread("re room event from key user connection reason code message", text),
  ...spread("at offset prev members replay ping_ms message_bytes rooms requests_per_s dedupe_ms retry_after_ms", count),
  ...spread("more recovered", flag),
  ...spread("joined left updated all presence", members),
  ["cursor", cursor],
  ["rights", list(text)],
  ["limits", (value) => has(value, "message_bytes rooms requests_per_s dedupe_ms")],
  ["messages", list((value) => has(value, "event at offset"))],
  ["issues", list((value) => has(value, "message"))],
]);

/** What a frame cannot do without. */
const required: ReadonlyMap<string, string> = new Map(Object.entries({
  welcome: "connection user ping_ms limits",
  joined: "room replay members rights",
  left: "room",
  ack: "re",
  message: "room event at",
  skip: "room offset",
  gap: "room cursor reason",
  history: "messages cursor more",
  signal: "event at",
  presence: "room members",
  drain: "retry_after_ms",
  error: "code",
}));

/** Whether a value is an object with all of these fields, and no field of a wrong form. */
function has(value: unknown, fields = "type"): boolean {
  return (
    object(value) &&
    fields.split(" ").every((name) => Object.hasOwn(value as object, name)) &&
    Object.entries(value as object).every(([name, field]) => forms.get(name)?.(field) ?? true)
  );
}

/**
 * Reads what a server sent; undefined where it is no frame, or one without what the protocol promises of it. Frames of types
 * that nobody knows are passed on. Never throws.
 */
export function readServerFrame(data: unknown): ServerFrame | undefined {
  try {
    const frame = JSON.parse(data as string) as ServerFrame;
    return has(frame, required.get(frame.type)) ? frame : undefined;
  } catch {
    return undefined;
  }
}
