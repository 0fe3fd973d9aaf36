import { errorCodes } from "../../protocol/codes.ts";

/** A JSON Schema (2020-12, as OpenAPI 3.1 has it), as far as this API needs them. */
export interface Schema {
  readonly [keyword: string]: unknown;
}

export const anyJson: Schema = { description: "Any JSON, nested at most 32 deep with what is around it" };
export const wholeNumber: Schema = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const positive: Schema = { ...wholeNumber, minimum: 1 };
const cursor: Schema = { type: "string", pattern: "^[A-Za-z0-9_-]{1,32}:(0|[1-9][0-9]{0,15})$" };
const text: Schema = { type: "string" };

/** An object that has no other members than these. */
export function shape(properties: Readonly<Record<string, Schema>>, ...optional: readonly string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

export function listOf(items: Schema): Schema {
  return { type: "array", items };
}

export type SchemaName =
  | "Error"
  | "Published"
  | "BatchResults"
  | "Message"
  | "Page"
  | "Members"
  | "Rooms"
  | "Ticket"
  | "Up"
  | "Readiness";

/** One of the schemas below, by its name in the document. */
export function schemaNamed(name: SchemaName): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const httpCodes = ["not_found", "method_not_allowed", "too_large", "unsupported_media_type"];
const fault = shape(
  {
    code: { enum: [...errorCodes, ...httpCodes] },
    message: { type: "string", description: "For people" },
    retry_after_ms: wholeNumber,
    issues: listOf(shape({ message: text, path: listOf({ type: ["string", "integer"] }) }, "path")),
  },
  "retry_after_ms",
  "issues",
);
const published = { offset: positive, cursor, duplicate: { const: true }, result: anyJson };

/** What is answered, by the names in the document. */
export const schemas: Readonly<Record<SchemaName, Schema>> = {
  Error: shape({ error: fault }),
  /** A room that keeps no log gives neither offset nor cursor. */
  Published: shape(published, "offset", "cursor", "duplicate", "result"),
  BatchResults: shape({
    results: listOf({
      oneOf: [
        shape({ room: text, ...published }, "offset", "cursor", "duplicate", "result"),
        shape({ room: text, error: fault }),
      ],
    }),
  }),
  Message: shape(
    { offset: positive, prev: wholeNumber, event: text, data: anyJson, from: text, at: wholeNumber, key: text },
    "prev",
    "from",
    "key",
  ),
  Page: shape({ messages: listOf({ $ref: "#/components/schemas/Message" }), cursor, more: { type: "boolean" } }),
  Members: shape({ members: wholeNumber, users: listOf(shape({ user: text, data: anyJson })) }),
  Rooms: shape({ rooms: listOf(shape({ room: text, members: wholeNumber })), more: { type: "boolean" } }),
  Ticket: shape({ ticket: text, expires_at: wholeNumber }),
  Up: shape({ status: { const: "up" } }),
  Readiness: shape({ ready: { type: "boolean" }, reasons: listOf(text) }),
};
