import { isToken } from "./names.ts";

/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A JSON object whose fields nobody has checked yet. */
export type JsonObject = { [key: string]: Json };

/** P-62: JSON nested deeper than this is refused. */
export const maxDepth = 32;

export type ReadJson =
  | { ok: true; value: JsonObject }
  | { ok: false; code: "bad_frame" | "too_deep" | "bad_field"; id: string | undefined };

/**
 * Reads one JSON object from outside (P-1, P-62).
 *
 * Depth is measured on the text, before anything is built from it, so that no later step can run out of stack. A number
 * that JavaScript cannot hold (`1e400`) is `bad_field`: it would be written back as `null`.
 */
export function readJsonObject(text: string): ReadJson {
  const shape = scan(text);
  const value = parseJson(text);
  const object = isObject(value) ? value : undefined;
  const id = idOf(object);
  if (shape.depth > maxDepth) return { ok: false, code: "too_deep", id };
  if (object === undefined) return { ok: false, code: "bad_frame", id: undefined };
  if ((shape.hasExponent || longDigits.test(text)) && !isFiniteThroughout(object))
    return { ok: false, code: "bad_field", id };
  return { ok: true, value: object };
}

/** Whether a text that claims to be JSON nests deeper than P-62 lets it. */
export function isNestedTooDeep(text: string): boolean {
  return scan(text).depth > maxDepth;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** P-3: what stands under `id` is repeated to the peer only where it can be one. */
function idOf(object: JsonObject | undefined): string | undefined {
  const id = object?.["id"];
  return typeof id === "string" && isToken(id) ? id : undefined;
}

/** `undefined`: it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const quote = 0x22;
const backslash = 0x5c;
/** The shortest run of digits that is too large for a double without an exponent. */
const longDigits = /[0-9]{309}/;

/** One pass over the text: how deep brackets nest outside strings, and whether a number has an exponent. */
function scan(text: string): { depth: number; hasExponent: boolean } {
  let open = 0;
  let depth = 0;
  let hasExponent = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === quote) {
      i = endOfString(text, i);
    } else if (c === 0x5b || c === 0x7b) {
      if (++open > depth) depth = open;
    } else if (c === 0x5d || c === 0x7d) {
      open--;
    } else if ((c | 0x20) === 0x65 && isDigit(text.charCodeAt(i - 1))) {
      hasExponent = true;
    }
  }
  return { depth, hasExponent };
}

/** The index of the quote that ends the string opened at `start`; the text's end where there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === backslash) slashes++;
  return slashes % 2 === 1;
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

function isFiniteThroughout(value: Json): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return Object.values(value).every(isFiniteThroughout);
}
