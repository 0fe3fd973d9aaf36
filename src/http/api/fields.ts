import type { Json } from "../../protocol/json.ts";
import { isName, isRoomName, isToken, maxTokenCharacters, maxUserBytes } from "../../protocol/names.ts";
import { badField } from "../errors.ts";
import { anyJson, type Schema, wholeNumber } from "./schema.ts";

/** One thing that a call takes: how it is read, and how the document tells of it. Both stand here, so that they agree. */
export interface Field<T> {
  /** undefined: not what is expected. */
  readonly read: (value: unknown) => T | undefined;
  /** For the sentence "name must be …". */
  readonly expected: string;
  readonly schema: Schema;
  readonly required: boolean;
}

export interface RequiredField<T> extends Field<T> {
  readonly required: true;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What was read: a field that may be absent is undefined then. */
export type Values<F extends Fields> = {
  readonly [Name in keyof F]: F[Name] extends RequiredField<infer T>
    ? T
    : F[Name] extends Field<infer T>
      ? T | undefined
      : never;
};

/** Reads all fields, of which `given` tells undefined where it is absent. Throws `bad_field` naming the first fault (P-1). */
export function readFields<F extends Fields>(fields: F, given: (name: string) => unknown): Values<F> {
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = given(name);
    if (value === undefined) {
      if (field.required) throw badField(`${name} is missing`);
      continue;
    }
    values[name] = field.read(value);
    if (values[name] === undefined) throw badField(`${name} must be ${field.expected}`);
  }
  return values as Values<F>;
}

export function required<T>(field: Field<T>): RequiredField<T> {
  return { ...field, required: true };
}

function textField(test: (text: string) => boolean, expected: string, schema: Schema): Field<string> {
  return {
    read: (value) => (typeof value === "string" && test(value) ? value : undefined),
    expected,
    schema: { type: "string", ...schema },
    required: false,
  };
}

export const event: Field<string> = textField(isToken, "a string of 1 to 64 characters", {
  minLength: 1,
  maxLength: maxTokenCharacters,
});
export const room: Field<string> = textField(
  isRoomName,
  "a room's name: 1 to 255 bytes, NFC, no control characters, no space at either end",
  { minLength: 1, maxLength: 255, description: "A room, 1 to 255 bytes in NFC" },
);
/** Anonymous users too: whoever is a member can be named. */
export const user: Field<string> = textField(
  (text) => isName(text, maxUserBytes),
  "a user's name: 1 to 254 bytes, NFC, no control characters, no space at either end",
  { minLength: 1, maxLength: maxUserBytes, description: "A user, 1 to 254 bytes in NFC" },
);
export const connection: Field<string> = textField(
  (text) => /^[!-~]{1,64}$/.test(text),
  "a connection's id, as welcome told it",
  { pattern: "^[!-~]{1,64}$", description: "A connection's id" },
);
/** A longer one matches no room. */
export const anyText: Field<string> = textField(() => true, "given once", {});

export const data: Field<Json> = {
  read: (value) => value as Json,
  expected: "JSON",
  schema: anyJson,
  required: false,
};

/** In a query: digits. */
export const count: Field<number> = {
  read: (value) => {
    const number = typeof value === "string" && /^[0-9]{1,16}$/.test(value) ? Number(value) : 0;
    return Number.isSafeInteger(number) && number >= 1 ? number : undefined;
  },
  expected: "an integer from 1 to 2^53-1",
  schema: { ...wholeNumber, minimum: 1 },
  required: false,
};

/** In a query. */
export const flag: Field<boolean> = {
  read: (value) => (value === "true" ? true : value === "false" ? false : undefined),
  expected: "true or false",
  schema: { type: "boolean", default: false },
  required: false,
};
