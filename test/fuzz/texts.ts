import type { Random } from "./random.ts";
import { bodyCanary } from "./secrets.ts";

/** Texts that have broken parsers, terminals, maps and normalisers elsewhere. */
export const oddTexts: readonly string[] = [
  "",
  " ",
  "\u0000",
  "\u001b[2J",
  "a\r\nSet-Cookie: x=1",
  "\u2028\u2029",
  "\u202e\u2066",
  "e\u0301",
  "\u1100\u1161",
  "\ufeff",
  "\ufffd",
  "💥",
  "\ud83d",
  "\udca5x",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "then",
  "toJSON",
  "$x",
  "@ann",
  "@bob",
  "@",
  "~",
  "..",
  "../../etc/passwd",
  "%2e%2e%2f",
  "%00",
  "*",
  "**",
  "fuzz/**",
  "<img src=x onerror=alert(1)>",
  "'; DROP TABLE rooms;--",
  "x".repeat(64),
  "x".repeat(65),
  "x".repeat(254),
  "x".repeat(256),
  "ü".repeat(127),
  "ü".repeat(128),
  "💥".repeat(64),
  "x".repeat(70_000),
  "undefined",
  "NaN",
  "1",
  bodyCanary,
];

const oddNumbers: readonly string[] = [
  "0",
  "-0",
  "1",
  "-1",
  "1.5",
  "1e3",
  "1e400",
  "-1e400",
  "1E+2",
  "1e-400",
  "9007199254740991",
  "9007199254740992",
  "9007199254740993",
  "18446744073709551616",
  "2147483648",
  "4294967296",
  "0.1",
  "9".repeat(400),
  "1".repeat(310),
];

/** What looks like JSON and is none. */
const brokenValues: readonly string[] = [
  "undefined",
  "NaN",
  "Infinity",
  "01",
  "+1",
  ".5",
  "1.",
  "0x10",
  "'a'",
  '"\\x"',
  '"\u0001"',
  '"',
  "[1,]",
  '{"a":1,}',
  "{a:1}",
  "//",
  "",
  "[",
  "}",
  '"\\u12"',
];

/** JSON text of a string, now and then with escapes where none are needed, or lone surrogates as bytes cannot have. */
export function stringText(random: Random, text: string): string {
  if (random.chance(0.9)) return JSON.stringify(text);
  const escaped = [...text].slice(0, 100).map((c) => {
    const units = Array.from({ length: c.length }, (_, i) => c.charCodeAt(i).toString(16).padStart(4, "0"));
    return units.map((unit) => `\\u${unit}`).join("");
  });
  return `"${escaped.join("")}"`;
}

export function oddText(random: Random): string {
  if (random.chance(0.7)) return random.pick(oddTexts);
  return random.list(0, 12, () => String.fromCharCode(random.int(0, random.chance(0.5) ? 127 : 0xffff))).join("");
}

/** JSON text of any value, and now and then of none. */
export function valueText(random: Random, depth = 0): string {
  const nest = depth < 4 ? 10 : 6;
  switch (random.int(0, nest)) {
    case 0:
      return random.pick(["null", "true", "false"]);
    case 1:
      return random.pick(oddNumbers);
    case 2:
    case 3:
      return stringText(random, oddText(random));
    case 4:
      return String(random.int(-3, 1_000));
    case 5:
      return random.chance(0.1) ? random.pick(brokenValues) : `"${bodyCanary}"`;
    case 6:
      return random.chance(0.1) ? deep(random) : '"plain"';
    case 7:
    case 8:
      return `[${random.list(0, 4, () => valueText(random, depth + 1)).join(",")}]`;
    default:
      return objectText(random, depth);
  }
}

function objectText(random: Random, depth: number): string {
  const fields = random.list(0, 4, () => {
    const name = random.chance(0.5) ? random.pick(["a", "b", "text", "type", "room"]) : oddText(random).slice(0, 100);
    return `${stringText(random, name)}:${valueText(random, depth + 1)}`;
  });
  return `{${fields.join(",")}}`;
}

/** Around the limit of 32, and far beyond it. */
function deep(random: Random): string {
  const levels = random.pick([29, 30, 31, 32, 33, 100, 5_000]);
  if (random.chance(0.3)) return "[".repeat(levels);
  return random.chance(0.5)
    ? `${"[".repeat(levels)}${"]".repeat(levels)}`
    : `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
}

/** One edit of a text: a cut, a doubled part, another character, a part of another. */
export function mutated(random: Random, text: string): string {
  const at = random.int(0, text.length);
  const end = Math.min(text.length, at + random.int(0, 8));
  return random.one([
    () => text.slice(0, at),
    () => text.slice(0, at) + text.slice(end),
    () => text.slice(0, end) + text.slice(at),
    () => text.slice(0, at) + oddText(random).slice(0, 200) + text.slice(at),
    () => text.slice(0, at) + String.fromCharCode(random.int(0, 255)) + text.slice(at + 1),
    () => text + text,
  ]);
}

/** `object` as JSON text with 0 to 3 of its members turned: another type, another value, gone, twice, or a stranger's. */
export function mutatedObject(random: Random, object: Readonly<Record<string, unknown>>): string {
  const fields = Object.entries(object).map(([name, value]) => [JSON.stringify(name), JSON.stringify(value)] as const);
  for (let edits = random.chance(0.4) ? 0 : random.int(1, 3); edits > 0; edits--) {
    const i = random.int(0, Math.max(0, fields.length - 1));
    const field = fields[i];
    random.one<unknown>([
      () => field && (fields[i] = [field[0], valueText(random)]),
      () => field && (fields[i] = [field[0], valueText(random)]),
      () => field && (fields[i] = [field[0], stringText(random, oddText(random))]),
      () => void fields.splice(i, 1),
      () => field && fields.push([field[0], valueText(random)]),
      () => fields.push([stringText(random, oddText(random).slice(0, 100)), valueText(random)]),
      () => fields.unshift(['"__proto__"', valueText(random)]),
    ]);
  }
  const text = `{${fields.map(([name, value]) => `${name}:${value}`).join(random.chance(0.1) ? " ,\n" : ",")}}`;
  return random.chance(0.05) ? mutated(random, text) : text;
}
