import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { variableOf, type Flags } from "../../src/cli/flags.ts";
import { readServeSettings, serveFlags } from "../../src/cli/settings.ts";
import { tokenFlags } from "../../src/cli/token.ts";
import { defaultLimits as clientLimits, defaultTiming } from "../../src/client/platform.ts";
import { closeAction, closeCodes, errorCodes, leavesAtOnce } from "../../src/protocol/codes.ts";
import { maxHistoryPage, shortHistoryMs } from "../../src/protocol/limits.ts";
import { maxRoomBytes, maxTokenCharacters, maxUserBytes } from "../../src/protocol/names.ts";
import { maxPatternCharacters, maxRoomPatterns } from "../../src/server/auth/rights.ts";
import { defaultLimits } from "../../src/server/options.ts";
import { rateNames } from "../../src/server/rates.ts";
import { maxIdBytes } from "../../src/server/sse/cursors.ts";
import { maxStreamRooms } from "../../src/server/sse/request.ts";
import { readPage, root, tableUnder } from "./markdown.ts";

const client = readPage("docs/client.md");
const command = readPage("docs/command.md");
const server = readPage("docs/server.md");
const codes = readPage("docs/limits-and-codes.md");

function columns(rows: readonly string[][], ...picked: number[]): string[][] {
  return rows.map((row) => picked.map((i) => row[i] ?? ""));
}

function source(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The names of an interface's fields, of those whose signature begins a line two spaces in. */
function fieldsOf(path: string, name: string): string[] {
  const body = new RegExp(`^export interface ${name}\\b[^\\n]*\\{\\n(.*?)^\\}`, "ms").exec(source(path))?.[1] ?? "";
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(<]/gm)].map(([, field = ""]) => field);
}

/** The value of a constant that its module keeps to itself. */
function constant(path: string, name: string): number {
  const value = new RegExp(`const ${name}\\b[^=]* = ([\\d_]+);`).exec(source(path))?.[1];
  if (value === undefined) throw new Error(`${path} has no constant ${name}`);
  return Number(value.replaceAll("_", ""));
}

describe("the limits of the hub", () => {
  const rows = tableUnder(server, "Limits");

  it("are those of options.ts, with their defaults", () => {
    expect(columns(rows, 0, 2)).toEqual(Object.entries(defaultLimits).map(([name, value]) => [name, String(value)]));
  });

  it.each(rows.map(([option = "", flag = ""]) => ({ option, flag })))(
    "--limit $flag sets $option",
    ({ option, flag }) => {
      const { limits } = readServeSettings(["--limit", `${flag}=300001`], {});
      expect(limits).toEqual({ [option]: 300_001 });
    },
  );
});

describe("the rates of the hub", () => {
  const rows = tableUnder(server, "Rates");

  it("are those of rates.ts", () => {
    expect(rows.map(([name]) => name)).toEqual(rateNames);
    expect(rateNames).toEqual(fieldsOf("src/server/rates.ts", "Rates"));
  });

  it.each(rows.map(([option = "", flag = ""]) => ({ option, flag })))(
    "--rate $flag sets $option",
    ({ option, flag }) => {
      expect(readServeSettings(["--rate", `${flag}=7`], {}).rates).toEqual({ [option]: 7 });
    },
  );
});

describe("the options of the hub", () => {
  it("are those of HubOptions", () => {
    const listed = tableUnder(server, "Options").map(([name]) => name);
    expect(listed).toEqual(fieldsOf("src/server/options.ts", "HubOptions"));
    expect(listed.length).toBeGreaterThan(5);
  });
});

describe("the flags", () => {
  it.each<{ heading: string; flags: Flags }>([
    { heading: "serve", flags: serveFlags },
    { heading: "token", flags: tokenFlags },
  ])("of $heading are those of the command, with variable and value", ({ heading, flags }) => {
    expect(columns(tableUnder(command, heading), 0, 1, 2)).toEqual(
      Object.entries(flags).map(([name, { valueHint = "" }]) => [`--${name}`, variableOf(name), valueHint]),
    );
  });

  it.each(tableUnder(command, "serve").map(([flag = "", , , text = ""]) => ({ flag: flag.slice(2), text })))(
    "--$flag has the default that the command has, and says where it may be repeated",
    ({ flag, text }) => {
      const { description, repeated = false } = serveFlags[flag as keyof typeof serveFlags];
      const defaultIn = (words: string): string | undefined => /default:? (?!export)([^;]+)/.exec(words)?.[1];
      expect(defaultIn(text)).toBe(defaultIn(description));
      expect(text.includes("repeatable")).toBe(repeated);
    },
  );
});

describe("codes", () => {
  it("of errors are those of the protocol", () => {
    expect(tableUnder(codes, "Error codes").map(([code]) => code)).toEqual([...errorCodes]);
  });

  it("of closes are those of the protocol, with what a client does and when its user is gone", () => {
    expect(tableUnder(codes, "Close codes")).toEqual(
      Object.entries(closeCodes).map(([name, code]) => [
        String(code),
        name,
        closeAction(code),
        leavesAtOnce(code) ? "at once" : "after the grace",
      ]),
    );
  });

  it("of the client's own errors are those of errors.ts", () => {
    const union = /export type ClientErrorCode =([^;]*);/.exec(source("src/client/errors.ts"))?.[1] ?? "";
    const known = [...union.matchAll(/"(\w+)"/g)].map(([, code = ""]) => code);
    expect(known.length).toBeGreaterThan(5);
    expect(tableUnder(client, "Error codes").map(([code]) => code)).toEqual(known);
  });

  it("in the client's table of closes make it do what the page says", () => {
    const says: Readonly<Record<string, RegExp>> = {
      stop: /^stops$/,
      spread: /^reconnects, spread out/,
      wait: /^waits for 30 s/,
      token: /^gets a token/,
      resume: /^reconnects with backoff and resumes$/,
      backoff: /^reconnects with backoff$/,
    };
    const rows = tableUnder(client, "Close codes").map(([list = "", does = ""]) => ({ list, does }));
    const other = rows.find(({ list }) => list === "anything else");
    const rest = rows.find(({ list }) => list.includes("every other of 1000 to 1999"));
    for (const code of [...Array(2_000).keys()]
      .map((i) => 1_000 + i)
      .concat([...Array(1_000).keys()].map((i) => 4_000 + i))) {
      const row = rows.find(({ list }) => names(list, code)) ?? (code < 2_000 ? rest : other);
      expect({ code, does: row?.does }).toEqual({
        code,
        does: expect.stringMatching(says[closeAction(code)] ?? /never/),
      });
    }
  });
});

/** Whether a list such as `1000, 4000 to 4099` names the code. */
function names(list: string, code: number): boolean {
  return list.split(", ").some((part) => {
    const [, from, to = from] = /^(\d+)(?: to (\d+))?$/.exec(part) ?? [];
    return from !== undefined && code >= Number(from) && code <= Number(to);
  });
}

describe("the client's options", () => {
  it("are those of ClientOptions", () => {
    expect(tableUnder(client, "Options").map(([name]) => name)).toEqual(
      fieldsOf("src/client/types.ts", "ClientOptions"),
    );
  });

  it.each([
    { heading: "Timing", defaults: defaultTiming },
    { heading: "Limits", defaults: clientLimits },
  ])("$heading: names and defaults", ({ heading, defaults }) => {
    expect(columns(tableUnder(client, heading), 0, 1)).toEqual(
      Object.entries(defaults).map(([name, value]) => [name, String(value)]),
    );
  });

  it("the states are those of ClientStatus", () => {
    const union = /export type ClientStatus =(.*?);\n\n/s.exec(source("src/client/types.ts"))?.[1] ?? "";
    const known = [...union.matchAll(/state: "(\w+)"/g)].map(([, state = ""]) => state);
    expect(tableUnder(client, "States").map(([state]) => state)).toEqual(known);
  });

  it("the events of a room are those of RoomEvents", () => {
    const rows = /\| event \| with \|\n.*?\n\n/s.exec(client.text)?.[0] ?? "";
    const listed = [...rows.matchAll(/^\| `(\w+)`/gm)].map(([, event = ""]) => event);
    expect(listed).toEqual(fieldsOf("src/client/types.ts", "RoomEvents"));
  });
});

describe("fixed bounds", () => {
  const inCode: Readonly<Record<string, number>> = {
    "name of a room, bytes": maxRoomBytes,
    "name of a user, bytes": maxUserBytes,
    "id, event, key, characters": maxTokenCharacters,
    "nesting of JSON": constant("src/protocol/json.ts", "maxDepth"),
    "a page of history, messages": maxHistoryPage,
    "since without the right history, milliseconds back": shortHistoryMs,
    "presence data, bytes of JSON": constant("src/server/catalog.ts", "maxPresenceBytes"),
    "texts that are no JSON object, in a minute": constant("src/server/session.ts", "maxBadFrames"),
    "WebSocket pings and pongs, in a second": constant("src/server/connection.ts", "maxControlFrames"),
    "a message whose last fragment does not come, milliseconds": constant("src/server/heartbeat.ts", "unfinishedMs"),
    "characters before authentication": constant("src/server/admission.ts", "maxEarlyCharacters"),
    "refusals for rate without a pause, milliseconds": constant("src/server/rate.ts", "floodMs"),
    "refusals for rate without a pause": constant("src/server/rate.ts", "floodRefusals"),
    "faults told of a schema": constant("src/server/catalog.ts", "maxIssues"),
    "a ticket's life, milliseconds": constant("src/server/auth/tickets.ts", "ticketMs"),
    "patterns in a claim rooms": maxRoomPatterns,
    "a pattern, characters": maxPatternCharacters,
    "a token, characters": constant("src/server/auth/jwt.ts", "maxTokenCharacters"),
    "rooms of a stream over [SSE](sse.md)": maxStreamRooms,
    "Last-Event-ID, bytes": maxIdBytes,
    "headers of an upgrade": constant("src/server/upgrade.ts", "maxHeaders"),
    "the rest of an HTTP body after its answer, milliseconds": constant("src/http/answer.ts", "lingerMs"),
    "the other side's close after a refused upgrade, milliseconds": constant("src/server/upgrade.ts", "lingerMs"),
  };

  it("are those of the code", () => {
    expect(columns(tableUnder(codes, "Fixed bounds"), 0, 1)).toEqual(
      Object.entries(inCode).map(([name, value]) => [name, String(value)]),
    );
  });
});
