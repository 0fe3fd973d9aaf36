import { describe, expect, it } from "vitest";
import { formatCursor, parseCursor } from "../../src/protocol/cursor.ts";
import { readVectors } from "./vectors.ts";

interface Valid {
  text: string;
  epoch: string;
  offset: number;
}

const { valid, invalid } = readVectors("cursors.json") as { valid: Valid[]; invalid: string[] };

describe("a cursor", () => {
  it.each(valid)("is $text, read and written", ({ text, epoch, offset }) => {
    expect(parseCursor(text)).toEqual({ epoch, offset });
    expect(formatCursor({ epoch, offset })).toBe(text);
  });
  it.each(invalid)("is not %j", (text) => expect(parseCursor(text)).toBeUndefined());
});
