import { describe, expect, it } from "vitest";
import type { Json } from "../../src/protocol/json.ts";
import { parseClientFrame } from "../../src/protocol/parse.ts";
import { expand, readVectors, type Repeated } from "./vectors.ts";

interface Case extends Repeated {
  name: string;
  text: string;
  frame?: Json;
  error?: string;
  re?: string;
  room?: string;
}

const { cases } = readVectors("parse.json") as { cases: Case[] };

describe("a client's text becomes a frame or a refusal", () => {
  it.each(cases)("$name", (given) => {
    const parsed = parseClientFrame(expand(given.text, given));
    const wanted =
      given.frame === undefined ? undefined : expand(given.frame, given, (text) => JSON.parse(`"${text}"`) as string);
    if (parsed.ok) expect(present(parsed.frame)).toEqual(wanted);
    else
      expect(present({ ...parsed.refusal, message: undefined })).toEqual(
        present({ code: given.error, re: given.re, room: given.room }),
      );
  });

  it("never repeats a value from outside in its message", () => {
    const parsed = parseClientFrame('{"type":"join","room":"\\u001b[2J"}');
    expect(parsed.ok ? "" : parsed.refusal.message).not.toContain("[2J");
  });

  it("leaves the prototypes as they were", () => {
    parseClientFrame(
      '{"type":"publish","room":"a","event":"e","data":{"__proto__":{"polluted":1}},"__proto__":{"polluted":1}}',
    );
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

/** Without the members that are undefined. */
function present(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}
