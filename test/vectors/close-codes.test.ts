import { describe, expect, it } from "vitest";
import { closeAction, closeCodes, leavesAtOnce } from "../../src/protocol/codes.ts";
import { readVectors } from "./vectors.ts";

interface Case {
  code: number;
  action: string;
  leaves_at_once: boolean;
}

const { cases } = readVectors("close-codes.json") as { cases: Case[] };

describe("a close code", () => {
  it.each(cases)("$code makes a client: $action", ({ code, action }) => expect(closeAction(code)).toBe(action));
  it.each(cases)("$code ends membership at once: $leaves_at_once", ({ code, leaves_at_once: atOnce }) =>
    expect(leavesAtOnce(code)).toBe(atOnce),
  );
  it("of the server's own is in the vectors", () => {
    const known = cases.map(({ code }) => code);
    expect(Object.values(closeCodes).filter((code) => !known.includes(code))).toEqual([]);
  });
});
