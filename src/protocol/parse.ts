import type { ErrorCode } from "./codes.ts";
import { parseCursor, type Cursor } from "./cursor.ts";
import type { ClientFrame } from "./frames.ts";
import { readJsonObject, type JsonObject } from "./json.ts";
import { isRoomName, isToken } from "./names.ts";

/** A frame that cannot be taken, as the `error` frame tells it (P-60). `message` names fields, never their values. */
export interface Refusal {
  code: ErrorCode;
  message: string;
  re: string | undefined;
  room: string | undefined;
}

export type Parsed = { ok: true; frame: ClientFrame } | { ok: false; refusal: Refusal };

const refusals = {
  bad_frame: "a frame is one JSON object",
  too_deep: "JSON nests at most 32 deep",
  bad_field: "a number is out of range",
} as const;

/**
 * Reads one text frame from a client (P-1). Strict: a known field of the wrong type, null included, is `bad_field`;
 * unknown fields are ignored. Never throws.
 */
export function parseClientFrame(text: string): Parsed {
  const json = readJsonObject(text);
  if (!json.ok) return refuse(json.code, refusals[json.code], json.id);
  const fields = new Fields(json.value);
  const frame = readFrame(fields);
  if (fields.fault !== undefined) return refuse("bad_field", fields.fault, fields.id, fields.room);
  if (frame === undefined) return refuse("unknown_type", "unknown type of frame", fields.id);
  return { ok: true, frame };
}

function refuse(code: ErrorCode, message: string, re?: string, room?: string): Parsed {
  return { ok: false, refusal: { code, message, re, room } };
}

/** The frame, or undefined for an unknown type; faults are left in `fields`. */
function readFrame(fields: Fields): ClientFrame | undefined {
  const type = fields.required("type", isString);
  const id = fields.optional("id", isTokenText);
  fields.id = id;
  switch (type) {
    case "join":
      return {
        type,
        id,
        room: fields.roomName(),
        since: fields.cursor("since"),
        history: fields.optional("history", isCount),
        presence: fields.optional("presence", isBoolean),
        data: fields.has("data") ? fields.data() : undefined,
      };
    case "leave":
      return { type, id, room: fields.roomName() };
    case "publish":
      return {
        type,
        id,
        key: fields.optional("key", isTokenText),
        room: fields.roomName(),
        event: fields.required("event", isTokenText),
        data: fields.data(),
        echo: fields.optional("echo", isBoolean) ?? true,
      };
    case "signal":
      return {
        type,
        id,
        room: fields.roomName(),
        event: fields.required("event", isTokenText),
        data: fields.data(),
      };
    case "history":
      return {
        type,
        id: fields.required("id", isTokenText),
        room: fields.roomName(),
        before: fields.optional("before", isPositive),
        limit: fields.required("limit", isPositive),
      };
    case "presence":
      return { type, id, room: fields.roomName(), data: fields.data() };
    case "auth":
      return { type, id, token: fields.required("token", isString) };
    case "ping":
      return { type, id, timestamp: fields.optional("timestamp", isNumber) };
    case "pong":
      return { type };
    default:
      return undefined;
  }
}

type Check<T> = (value: unknown) => value is T;

const isString: Check<string> = (value) => typeof value === "string";
const isBoolean: Check<boolean> = (value) => typeof value === "boolean";
const isNumber: Check<number> = (value) => typeof value === "number";
const isCount: Check<number> = (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPositive: Check<number> = (value): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
const isTokenText: Check<string> = (value): value is string => isString(value) && isToken(value);
const isRoomText: Check<string> = (value): value is string => isString(value) && isRoomName(value);

const expected = new Map<Check<never>, string>([
  [isString as Check<never>, "a string"],
  [isBoolean as Check<never>, "true or false"],
  [isNumber as Check<never>, "a number"],
  [isCount as Check<never>, "an integer from 0 to 2^53-1"],
  [isPositive as Check<never>, "an integer from 1 to 2^53-1"],
  [isTokenText as Check<never>, "a string of 1 to 64 characters"],
  [isRoomText as Check<never>, "a room's name: 1 to 255 bytes, NFC, no control characters, no space at either end"],
]);

/** The fields of one frame; the first fault found is kept. */
class Fields {
  fault: string | undefined;
  id: string | undefined;
  room: string | undefined;
  readonly #object: JsonObject;

  constructor(object: JsonObject) {
    this.#object = object;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  data(): JsonObject[string] {
    return this.has("data") ? (this.#object["data"] ?? null) : null;
  }

  optional<T>(name: string, check: Check<T>): T | undefined {
    if (!this.has(name)) return undefined;
    const value: unknown = this.#object[name];
    if (check(value)) return value;
    this.fault ??= `${name} must be ${expected.get(check as unknown as Check<never>)}`;
    return undefined;
  }

  /** The field's value; where it is missing or wrong the frame is refused, and what is returned does not matter. */
  required<T extends string | number>(name: string, check: Check<T>): T {
    if (!this.has(name)) this.fault ??= `${name} is missing`;
    return this.optional(name, check) ?? ("" as T);
  }

  roomName(): string {
    this.room = this.required("room", isRoomText) || undefined;
    return this.room ?? "";
  }

  cursor(name: string): Cursor | undefined {
    const text = this.optional(name, isString);
    if (text === undefined) return undefined;
    const cursor = parseCursor(text);
    if (cursor === undefined) this.fault ??= `${name} must be a cursor, epoch:offset`;
    return cursor;
  }
}
