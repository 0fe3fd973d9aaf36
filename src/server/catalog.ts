import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { RoomRef } from "../backends/backend.ts";
import {
  compilePattern,
  slowPolicies,
  type Contract,
  type Keep,
  type Matcher,
  type RoomSpec,
  type SlowPolicy,
} from "../protocol/contract.ts";
import { encodeJson } from "../protocol/encode.ts";
import type { Issue } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import { isPersonalRoom } from "../protocol/names.ts";
import type { RoomHandlers } from "./handlers.ts";
import { aBackendWithLog } from "./options.ts";
import { Refused } from "./refused.ts";

/** A member's presence data is sent to everyone in the room, and a list of 200 has to fit an outbox. */
const maxPresenceBytes = 4_096;

/** What the contract and the app say of one room. */
export interface RoomKind {
  readonly pattern: string;
  readonly spec: RoomSpec;
  /** How long messages are kept; false: no log. */
  readonly keep: Keep | false;
  readonly slow: SlowPolicy;
  handlers: RoomHandlers;
}

interface Entry extends RoomKind {
  readonly match: Matcher;
}

/** At most so many faults of a schema are told. */
const maxIssues = 20;

/** The contract, made ready to look up rooms by name. */
export class Catalog {
  readonly #entries: Entry[];

  /**
   * Without `keep` the backend keeps no log, and all rooms are without one. Throws a TypeError on a pattern that could
   * never match, on one that is to keep what the backend cannot, and on an unknown policy for slow readers.
   */
  constructor(contract: Contract, keep: Keep | undefined) {
    this.#entries = Object.entries(contract).map(([pattern, spec]) => ({
      pattern,
      spec,
      keep: keepOf(pattern, spec, keep),
      slow: slowPolicy(pattern, spec),
      handlers: {},
      match: compilePattern(pattern),
    }));
  }

  /** Throws a TypeError where the contract has no such pattern, or it has handlers already. */
  setHandlers(pattern: string, handlers: RoomHandlers): void {
    const entry = this.#entries.find((e) => e.pattern === pattern);
    if (entry === undefined) {
      throw new TypeError(`no room pattern ${pattern}; there are: ${this.#entries.map((e) => e.pattern).join(", ")}`);
    }
    if (Object.keys(entry.handlers).length > 0) throw new TypeError(`room pattern ${pattern} has handlers already`);
    entry.handlers = handlers;
  }

  /** The first pattern that matches; a personal room only by `**` or a pattern that begins with `@`. */
  find(room: string): { kind: RoomKind; params: Readonly<Record<string, string>> } | undefined {
    const personal = isPersonalRoom(room);
    for (const entry of this.#entries) {
      if (personal && entry.pattern !== "**" && !isPersonalRoom(entry.pattern)) continue;
      const params = entry.match(room);
      if (params !== undefined) return { kind: entry, params };
    }
    return undefined;
  }
}

function keepOf(pattern: string, { keep: own }: RoomSpec, keep: Keep | undefined): Keep | false {
  if (own === false) return false;
  if (keep !== undefined) return { ...keep, ...own };
  if (own === undefined) return false;
  throw new TypeError(
    `the rooms ${pattern} are to keep messages, and the backend keeps no log: give them keep: false, or ${aBackendWithLog}`,
  );
}

function slowPolicy(pattern: string, { slow = "disconnect" }: RoomSpec): SlowPolicy {
  if (slowPolicies.includes(slow)) return slow;
  throw new TypeError(`room pattern ${pattern}: slow is one of ${slowPolicies.join(", ")}, got ${slow}`);
}

/** A room as backends know it. One that keeps no log is never appended to. */
export function refOf(room: string, { keep }: Pick<RoomKind, "keep">): RoomRef {
  return { name: room, keep: keep === false ? { messages: 0, ms: 0 } : keep };
}

/** The schema of an event, or undefined where any data will do. Throws `unknown_event` where the event is not listed. */
export function schemaOf(schemas: RoomSpec["events"], event: string): StandardSchemaV1 | undefined {
  if (schemas === undefined) return undefined;
  const schema = Object.hasOwn(schemas, event) ? schemas[event] : undefined;
  if (schema === undefined) throw new Refused("unknown_event", "this room has no such event");
  return schema;
}

export type Checked = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly issues: Issue[] };

/** The schema's output, or some of its issues; without one, the value as it is. Rejects where the schema throws. */
export async function check(schema: StandardSchemaV1 | undefined, value: unknown): Promise<Checked> {
  if (schema === undefined) return { ok: true, value };
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return { ok: true, value: result.value };
  return { ok: false, issues: result.issues.slice(0, maxIssues).map(toIssue) };
}

/** The schema's output. Throws `invalid_data` with its issues. */
export async function validate(schema: StandardSchemaV1 | undefined, value: unknown): Promise<unknown> {
  const checked = await check(schema, value);
  if (checked.ok) return checked.value;
  throw new Refused("invalid_data", "the data does not fit the room's contract", { issues: checked.issues });
}

function toIssue(issue: StandardSchemaV1.Issue): Issue {
  const path = issue.path?.map((part) => {
    const key = typeof part === "object" ? part.key : part;
    return typeof key === "number" ? key : String(key);
  });
  return path === undefined ? { message: issue.message } : { message: issue.message, path };
}

/** Rejects with `Refused` where the room's spec refuses the data, or where it is too large. */
export async function checkPresence(kind: RoomKind, given: Json): Promise<Json> {
  const data = await validate(kind.spec.presence, given);
  if (Buffer.byteLength(encodeJson(data)) > maxPresenceBytes) {
    throw new Refused("invalid_data", `presence data is at most ${maxPresenceBytes} bytes of JSON`);
  }
  return data as Json;
}
