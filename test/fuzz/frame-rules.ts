import { errorCodes } from "../../src/protocol/codes.ts";
import { parseCursor } from "../../src/protocol/cursor.ts";
import type { JsonObject } from "../../src/protocol/json.ts";
import { isName, isRoomName, maxRoomBytes } from "../../src/protocol/names.ts";
import type { Fault } from "./fault.ts";

type Rule = (value: unknown) => boolean;

const text: Rule = (value) => typeof value === "string";
const whole: Rule = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const offset: Rule = (value) => whole(value) && value !== 0;
const flag: Rule = (value) => typeof value === "boolean";
const any: Rule = () => true;
const is =
  (...allowed: readonly unknown[]): Rule =>
  (value) =>
    allowed.includes(value);
const room: Rule = (value) => typeof value === "string" && isRoomName(value);
const user: Rule = (value) => typeof value === "string" && isName(value, maxRoomBytes);
const cursor: Rule = (value) => typeof value === "string" && parseCursor(value) !== undefined;
const listOf =
  (rule: Rule): Rule =>
  (value) =>
    Array.isArray(value) && value.every(rule);
/** All of these, those that end in `?` may be absent, and nothing else. */
const shape =
  (rules: Readonly<Record<string, Rule>>): Rule =>
  (value) =>
    typeof value === "object" && value !== null && misfit(rules, value as JsonObject) === undefined;

const member = shape({ user, data: any });
const content = { "prev?": whole, event: text, data: any, "from?": user, at: whole, "key?": text };
const kept = { offset, ...content };
const limits = shape({ message_bytes: whole, rooms: whole, requests_per_s: whole, dedupe_ms: whole });
const issue = shape({ message: text, "path?": Array.isArray });
/** `unavailable` and `internal` tell that the server is unwell, which nobody outside may make it. */
const codes = errorCodes.filter((code) => code !== "internal" && code !== "unavailable");

const frames: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  welcome: { v: is(1), connection: text, user, ping_ms: whole, server_time: whole, "expires_at?": whole, limits },
  auth_required: { within_ms: whole },
  reauth: { within_ms: whole },
  authed: { "re?": text, "expires_at?": whole },
  joined: {
    "re?": text,
    room,
    "cursor?": cursor,
    "kept?": is(false),
    replay: whole,
    "recovered?": flag,
    members: whole,
    rights: listOf(is("publish", "signal", "presence", "history")),
    "presence?": listOf(member),
  },
  left: { "re?": text, room, "reason?": is("forbidden", "removed") },
  ack: { re: text, room, "offset?": offset, "cursor?": cursor, "duplicate?": is(true), "result?": any },
  message: { room, ...content, "offset?": offset },
  skip: { room, offset },
  gap: { room, cursor, reason: is("slow", "trimmed", "epoch") },
  history: { re: text, room, messages: listOf(shape(kept)), cursor, more: flag },
  signal: { "room?": room, event: text, data: any, "from?": user, at: whole },
  presence: {
    room,
    "joined?": listOf(member),
    "left?": listOf(shape({ user })),
    "updated?": listOf(member),
    "all?": listOf(member),
    members: whole,
  },
  ping: {},
  pong: { "re?": text, "timestamp?": (value) => typeof value === "number", server_time: whole },
  drain: { retry_after_ms: whole },
  error: {
    "re?": text,
    "room?": room,
    code: is(...codes),
    message: text,
    "retry_after_ms?": whole,
    "issues?": listOf(issue),
  },
  closed: { code: whole, reason: text },
};

function misfit(rules: Readonly<Record<string, Rule>>, given: JsonObject): string | undefined {
  for (const [name, value] of Object.entries(given)) {
    const rule = rules[name] ?? rules[`${name}?`];
    if (rule === undefined) return `${JSON.stringify(name)} does not belong there`;
    if (!rule(value)) return `${name} cannot be ${JSON.stringify(value)?.slice(0, 200)}`;
  }
  const missing = Object.keys(rules).find((name) => !name.endsWith("?") && !Object.hasOwn(given, name));
  return missing === undefined ? undefined : `${missing} is missing`;
}

/** What the server says on one connection, held to the protocol frame by frame: shapes (P-60), and order (P-21, P-32). */
export class Listener {
  /** The last offset in each room joined; undefined: the room keeps no log. */
  readonly #rooms: Map<string, number | undefined> = new Map();
  #count = 0;

  hear(json: string): Fault | undefined {
    let frame: JsonObject;
    try {
      frame = JSON.parse(json) as JsonObject;
    } catch {
      return { kind: "frame", what: `no JSON: ${json.slice(0, 300)}` };
    }
    const type = String(frame["type"]);
    const rules = Object.hasOwn(frames, type) ? frames[type] : undefined;
    if (rules === undefined) return { kind: "frame", what: `unknown type: ${json.slice(0, 300)}` };
    const wrong = misfit({ type: text, ...rules }, frame);
    if (wrong !== undefined) return { kind: "frame", what: `${wrong}: ${json.slice(0, 300)}` };
    const first = this.#count++ === 0;
    if (first && !["welcome", "auth_required", "error"].includes(type)) {
      return { kind: "order", what: `the first frame is ${json.slice(0, 300)}` };
    }
    const disorder = this.#follow(type, frame);
    return disorder === undefined ? undefined : { kind: "order", what: `${disorder}: ${json.slice(0, 300)}` };
  }

  #follow(type: string, frame: JsonObject): string | undefined {
    const room = frame["room"];
    if (typeof room !== "string") return undefined;
    const at = this.#rooms.get(room);
    switch (type) {
      case "joined":
        this.#rooms.set(room, typeof frame["cursor"] === "string" ? parseCursor(frame["cursor"])?.offset : undefined);
        return undefined;
      case "left":
        this.#rooms.delete(room);
        return undefined;
      case "message":
      case "skip":
      case "signal":
      case "presence":
      case "gap":
        if (!this.#rooms.has(room)) return "a frame of a room that was not joined";
    }
    if (type === "gap") this.#rooms.set(room, parseCursor(String(frame["cursor"]))?.offset);
    if (type !== "message" && type !== "skip") return undefined;
    const offset = frame["offset"];
    if (typeof offset !== "number") return at === undefined ? undefined : "a message without an offset";
    this.#rooms.set(room, offset);
    const prev = Number(frame["prev"] ?? offset - 1);
    if (at === undefined || (type === "message" && prev !== at) || offset <= at) return `offset ${offset} after ${at}`;
    return undefined;
  }
}
