import { readFileSync } from "node:fs";

/** Reads a file of `vectors/`. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8"));
}

export interface Repeated {
  repeat?: string;
  times?: number;
}

/** Puts `repeat`, `times` times, in place of `<*>`, in all strings of a value. */
export function expand<T>(value: T, { repeat, times }: Repeated, decode: (text: string) => string = (text) => text): T {
  if (repeat === undefined) return value;
  const run = decode(repeat.repeat(times ?? 1));
  return mapStrings(value, (text) => text.replace("<*>", () => run)) as T;
}

function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapStrings(item, change)]));
}
