import { describe, expect, it } from "vitest";
import { matches } from "../../src/server/auth/rights.ts";
import { readVectors } from "./vectors.ts";

const { cases } = readVectors("rights.json") as { cases: { pattern: string; matches: string[]; not: string[] }[] };
const rows = cases.flatMap(({ pattern, matches: yes, not }) => [
  ...yes.map((room) => ({ pattern, room, isMatch: true })),
  ...not.map((room) => ({ pattern, room, isMatch: false })),
]);

describe("a pattern of rights", () => {
  it.each(rows)("$pattern on $room: $isMatch", ({ pattern, room, isMatch }) =>
    expect(matches(pattern, room)).toBe(isMatch),
  );

  it("takes no longer than its length allows, however many stars it has", () => {
    const startedAt = performance.now();
    expect(matches("*a".repeat(100), "a".repeat(254))).toBe(true);
    expect(matches(`${"*a".repeat(100)}b`, "a".repeat(254))).toBe(false);
    expect(matches(`${"**/".repeat(60)}b`, "a/".repeat(120))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(100);
  });
});
