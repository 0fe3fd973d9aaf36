import type { ServerFrame } from "../protocol/frames.ts";

/** True where a value has the right form; false, or any exception, where it has not. */
type Check = (value: never) => boolean;

const text: Check = (value) => typeof value === "string";
const count: Check = (value) => Number.isSafeInteger(value) && value >= 0;
const listOf =
  (check: Check): Check =>
  (value: never[]) =>
    value.every(check);
const withFields =
  (names: string): Check =>
  (value) =>
    has(value, names);
const each = (names: string, check: Check): [string, Check][] => names.split(" ").map((name) => [name, check]);

/** A field has one form wherever it stands. What is not here is not looked at, or may be anything. */
const forms: ReadonlyMap<string, Check> = new Map([
  ...each("re room event from key user connection reason code message cursor", text),
  ...each("at offset prev members replay ping_ms message_bytes rooms requests_per_s dedupe_ms retry_after_ms", count),
  ...each("joined left updated all presence", listOf(withFields("user"))),
  ["rights", listOf(text)],
  ["limits", withFields("message_bytes rooms requests_per_s dedupe_ms")],
  ["messages", listOf(withFields("event at offset"))],
]);

/** What the client or an app would stumble over if it were missing. */
const required: ReadonlyMap<string, string> = new Map([
  ["welcome", "connection user ping_ms limits"],
  ["joined", "replay members rights"],
  ["message", "event at"],
  ["signal", "event at"],
  ["history", "messages cursor more"],
  ["presence", "members"],
]);

/** Whether a value has all of these fields, and no field of a wrong form. */
function has(value: object, fields: string): boolean {
  return (
    fields.split(" ").every((name) => Object.hasOwn(value, name)) &&
    Object.entries(value).every(([name, field]) => forms.get(name)?.(field as never) ?? true)
  );
}

/**
 * Reads what a server sent; undefined where it is no frame, or one that the client cannot use. Frames of types that nobody
 * knows are passed on. Never throws.
 */
export function readServerFrame(data: unknown): ServerFrame | undefined {
  try {
    const frame = JSON.parse(data as string) as ServerFrame;
    return has(frame, required.get(frame.type) ?? "type") ? frame : undefined;
  } catch {
    return undefined;
  }
}
