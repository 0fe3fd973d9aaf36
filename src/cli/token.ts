import { isObject } from "../protocol/json.ts";
import { isUserName } from "../protocol/names.ts";
import type { RoomRights } from "../server/auth/identity.ts";
import { signToken } from "../server/auth/jwt.ts";
import { readRights } from "../server/auth/rights.ts";
import { type Flag, one, readFlags, readText, UsageError } from "./flags.ts";
import type { Io } from "./io.ts";

type TokenFlag = "user" | "rooms" | "expires" | "secret";

export const tokenFlags: Readonly<Record<TokenFlag, Flag>> = {
  user: { type: "string", valueHint: "NAME", description: "who the token is for; required" },
  rooms: {
    type: "string",
    valueHint: "PATTERNS",
    description: "comma list (all rights) or JSON; default: the personal room alone",
  },
  expires: { type: "string", valueHint: "TIME", description: "e.g. 30m, 12h, 7d, 3600s; default 1h" },
  secret: { type: "string", valueHint: "TEXT", description: "the server's; required, best as FANFARE_SECRET" },
};

export interface TokenSettings {
  readonly user: string;
  readonly rooms: RoomRights | undefined;
  readonly expiresInMs: number;
  readonly secret: string;
}

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const defaultExpiresMs = 3_600_000;
/** Ten years: longer is a slip of the finger. */
const maxExpiresMs = 3_650 * 86_400_000;

/** Prints a JWT that `serve` with the same secret takes. */
export function token(args: readonly string[], io: Io): number {
  const { rooms, ...settings } = readTokenSettings(args, io.env);
  io.stdout.write(`${signToken(rooms === undefined ? settings : { ...settings, rooms })}\n`);
  return 0;
}

/** Throws a UsageError, whose message names the flag or variable and what it takes. */
export function readTokenSettings(args: readonly string[], env: NodeJS.ProcessEnv): TokenSettings {
  const given = readFlags(tokenFlags, args, env);
  const user = one(given.user, readUser);
  const secret = one(given.secret, readText);
  if (user === undefined) throw new UsageError("--user is missing: who is the token for?");
  if (secret === undefined)
    throw new UsageError("--secret is missing (or FANFARE_SECRET): the one that the server checks with");
  return {
    user,
    secret,
    rooms: one(given.rooms, readRooms),
    expiresInMs: one(given.expires, readDuration) ?? defaultExpiresMs,
  };
}

function readUser(text: string, source: string): string {
  if (isUserName(text)) return text;
  throw new UsageError(`${source} wants a name: 1 to 254 bytes, not beginning with ~, got ${JSON.stringify(text)}`);
}

function readDuration(text: string, source: string): number {
  const [, digits, unit = "s"] = /^(\d{1,10})([smhd])?$/.exec(text) ?? [];
  const ms = Number(digits) * (unitsMs[unit] ?? Number.NaN);
  if (ms > 0 && ms <= maxExpiresMs) return ms;
  throw new UsageError(
    `${source} wants a time such as 30m, 12h, 7d or 3600s, at most ten years, got ${JSON.stringify(text)}`,
  );
}

function readRooms(text: string, source: string): RoomRights {
  const value = /^\s*[[{]/.test(text) ? parseJson(text) : text.split(",").map((pattern) => pattern.trim());
  const rights = Array.isArray(value) || isObject(value) ? readRights(value) : undefined;
  if (rights !== undefined) return rights;
  const example = `chat/*,news or {"chat/*":["join","publish"]}`;
  throw new UsageError(`${source} wants room patterns, e.g. ${example}, got ${JSON.stringify(text)}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
