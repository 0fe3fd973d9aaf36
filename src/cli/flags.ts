import { parseArgs } from "node:util";

/** One flag of a command. Each is also an environment variable: `--keep-ms` is `FANFARE_KEEP_MS`. */
export interface Flag {
  readonly type: "string" | "boolean";
  readonly description: string;
  readonly valueHint?: string;
  /** May be given several times; its variable separates values by commas. */
  readonly repeated?: boolean;
}

export type Flags = Readonly<Record<string, Flag>>;

/** What was given for each flag, in order, and by what name to speak of it. */
export interface Given {
  readonly values: readonly string[];
  /** `--port` or `FANFARE_PORT`. */
  readonly source: string;
}

/** The person at the command's faults. Its message is one line that says what to do; the command exits with 2. */
export class UsageError extends Error {}

export function variableOf(flag: string): string {
  return `FANFARE_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Reads flags, and the environment for those not given: a flag beats its variable altogether. Of a flag that is not
 * repeated the last one counts. An empty variable is as good as none, which is how compose files leave things out.
 *
 * Throws a UsageError on an unknown flag, a flag without its value, and an argument that is no flag.
 */
export function readFlags<F extends Flags>(
  flags: F,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): { readonly [Name in keyof F]?: Given } {
  const given = new Map<string, string[]>();
  for (const { name, value } of tokens(flags, args)) {
    const values = given.get(name) ?? [];
    given.set(name, flags[name]?.repeated === true ? [...values, value] : [value]);
  }
  const result: Partial<Record<string, Given>> = {};
  for (const [name, flag] of Object.entries(flags)) {
    const values = given.get(name);
    const text = env[variableOf(name)];
    if (values !== undefined) result[name] = { values, source: `--${name}` };
    else if (text !== undefined && text !== "") result[name] = { values: split(text, flag), source: variableOf(name) };
  }
  return result;
}

function split(text: string, flag: Flag): string[] {
  if (flag.repeated !== true) return [text];
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function* tokens(flags: Flags, args: readonly string[]): Generator<{ name: string; value: string }> {
  const options = Object.fromEntries(Object.entries(flags).map(([name, { type }]) => [name, { type }]));
  for (const token of parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") throw new UsageError(`unexpected argument ${JSON.stringify(token.value)}`);
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (flag === undefined) throw new UsageError(`unknown flag ${JSON.stringify(token.rawName)}; --help lists them`);
    if (flag.type === "boolean") {
      yield { name: token.name, value: token.value ?? "true" };
      continue;
    }
    // `--secret --dev` is a forgotten value, not a secret; a value that begins so is written with `=`.
    const forgotten = token.value === undefined || (!token.inlineValue && token.value.startsWith("--"));
    if (forgotten) throw new UsageError(`${token.rawName} wants a value`);
    yield { name: token.name, value: token.value ?? "" };
  }
}

/** The last value given, checked and turned by `read`; undefined where none was given. */
export function one<T>(given: Given | undefined, read: (value: string, source: string) => T): T | undefined {
  const value = given?.values.at(-1);
  return given === undefined || value === undefined ? undefined : read(value, given.source);
}

export function readText(value: string, source: string): string {
  if (value === "") throw new UsageError(`${source} must not be empty`);
  return value;
}

export function readBoolean(value: string, source: string): boolean {
  if (["true", "1", "yes"].includes(value)) return true;
  if (["false", "0", "no"].includes(value)) return false;
  throw new UsageError(`${source} is true or false, got ${JSON.stringify(value)}`);
}

/** Without a sign or exponent: nobody writes a rate so. */
export function readNumber(value: string, source: string): number {
  if (/^\d{1,12}(?:\.\d{1,6})?$/.test(value)) return Number(value);
  throw new UsageError(`${source} must be a number such as 20 or 0.5, got ${JSON.stringify(value)}`);
}

export function readInteger(
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): (value: string, source: string) => number {
  return (value, source) => {
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    const range = max === Number.MAX_SAFE_INTEGER ? `an integer, ${min} or more` : `an integer from ${min} to ${max}`;
    throw new UsageError(`${source} must be ${range}, got ${JSON.stringify(value)}`);
  };
}
