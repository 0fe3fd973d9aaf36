import type { Json, JsonObject } from "../../src/protocol/json.ts";

/** What the placeholders of a dialogue stand for. */
export type Bindings = Map<string, Json>;

const placeholder = /\$\$|\$([A-Za-z][A-Za-z0-9]*)/g;
const kinds: Record<string, (value: unknown) => boolean> = {
  any: () => true,
  string: (value) => typeof value === "string" && value !== "",
  integer: (value) => Number.isSafeInteger(value),
};

/**
 * Says how `actual` differs from `pattern`, or undefined where it matches. Objects need hold only the fields that the
 * pattern lists, arrays match item by item. In the pattern's strings `$name` binds what stands there, or compares it
 * with what was bound before; `$absent`, `$any`, `$string` and `$integer` are kinds; `$$` is a dollar.
 */
export function mismatch(
  actual: Json | undefined,
  pattern: Json,
  bindings: Bindings,
  path = "frame",
): string | undefined {
  if (pattern === "$absent") return actual === undefined ? undefined : `${path} is there: ${show(actual)}`;
  if (actual === undefined) return `${path} is absent, expected ${show(pattern)}`;
  if (typeof pattern === "string" && pattern.includes("$")) return textMismatch(actual, pattern, bindings, path);
  if (Array.isArray(pattern)) return listMismatch(actual, pattern, bindings, path);
  if (typeof pattern === "object" && pattern !== null) return objectMismatch(actual, pattern, bindings, path);
  return actual === pattern ? undefined : `${path} is ${show(actual)}, expected ${show(pattern)}`;
}

/** A value to send: every `$name` replaced by what is bound to it. Throws on a name that nothing is bound to. */
export function fill(template: Json, bindings: Bindings): Json {
  if (typeof template === "string") return fillText(template, bindings);
  if (Array.isArray(template)) return template.map((item) => fill(item, bindings));
  if (typeof template !== "object" || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, fill(value, bindings)]));
}

export function fillText(template: string, bindings: Bindings): Json {
  const whole = /^\$([A-Za-z][A-Za-z0-9]*)$/.exec(template)?.[1];
  if (whole !== undefined) return bound(whole, bindings);
  return template.replace(placeholder, (text, name?: string) =>
    name === undefined ? text.slice(1) : String(bound(name, bindings)),
  );
}

function bound(name: string, bindings: Bindings): Json {
  const value = bindings.get(name);
  if (value === undefined) throw new Error(`nothing is bound to $${name}`);
  return value;
}

function textMismatch(actual: Json, pattern: string, bindings: Bindings, path: string): string | undefined {
  const name = /^\$([A-Za-z][A-Za-z0-9]*)$/.exec(pattern)?.[1];
  if (name === undefined) return templateMismatch(actual, pattern, bindings, path);
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (kind !== undefined) return kind(actual) ? undefined : `${path} is ${show(actual)}, expected ${pattern}`;
  if (!bindings.has(name)) bindings.set(name, actual);
  const known = bindings.get(name);
  return JSON.stringify(known) === JSON.stringify(actual)
    ? undefined
    : `${path} is ${show(actual)}, expected ${show(known)}`;
}

function templateMismatch(actual: Json, pattern: string, bindings: Bindings, path: string): string | undefined {
  if (typeof actual !== "string") return `${path} is ${show(actual)}, expected a string like ${pattern}`;
  const fresh: string[] = [];
  let form = "";
  let end = 0;
  for (const match of pattern.matchAll(placeholder)) {
    form += escape(pattern.slice(end, match.index));
    end = match.index + match[0].length;
    const name = match[1];
    if (name === undefined) form += String.raw`\$`;
    else if (bindings.has(name)) form += escape(String(bindings.get(name)));
    else if (fresh.push(name) > 0) form += "(.+)";
  }
  const found = new RegExp(`^${form}${escape(pattern.slice(end))}$`, "su").exec(actual);
  if (found === null) return `${path} is ${show(actual)}, expected ${pattern}`;
  fresh.forEach((name, i) => bindings.set(name, found[i + 1] ?? ""));
  return undefined;
}

function listMismatch(actual: Json, pattern: Json[], bindings: Bindings, path: string): string | undefined {
  if (!Array.isArray(actual)) return `${path} is ${show(actual)}, expected a list`;
  if (actual.length !== pattern.length)
    return `${path} has ${actual.length} items, expected ${pattern.length}: ${show(actual)}`;
  return firstFault(pattern.map((item, i) => mismatch(actual[i], item, bindings, `${path}[${i}]`)));
}

function objectMismatch(actual: Json, pattern: JsonObject, bindings: Bindings, path: string): string | undefined {
  if (typeof actual !== "object" || actual === null || Array.isArray(actual))
    return `${path} is ${show(actual)}, expected an object`;
  return firstFault(
    Object.entries(pattern).map(([name, value]) =>
      mismatch(Object.hasOwn(actual, name) ? actual[name] : undefined, value, bindings, `${path}.${name}`),
    ),
  );
}

function firstFault(faults: (string | undefined)[]): string | undefined {
  return faults.find((fault) => fault !== undefined);
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
