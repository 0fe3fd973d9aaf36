import { describe, expect, it } from "vitest";
import { errorFacts, plainText, safeLogger } from "../../src/server/logging.ts";

/** What a logger of the app is given. */
function logged(facts: object, message = "m"): unknown {
  const lines: unknown[] = [];
  const take = (given: object, text: string): void => void lines.push([given, text]);
  safeLogger({ debug: take, info: take, warn: take, error: take }).warn(facts, message);
  return lines[0];
}

describe("what a log is given", () => {
  it.each([
    { what: "an escape", text: "a\u001b[2Jb", plain: String.raw`a\u{1b}[2Jb` },
    { what: "a new line", text: "a\r\nb", plain: String.raw`a\u{d}\u{a}b` },
    { what: "a control of the second set", text: "a\u009bb", plain: String.raw`a\u{9b}b` },
    { what: "a line separator", text: "a\u2028b", plain: String.raw`a\u{2028}b` },
    { what: "text that runs backwards", text: "a\u202eb", plain: String.raw`a\u{202e}b` },
    { what: "half a character", text: "a\ud800b", plain: String.raw`a\u{d800}b` },
  ])("shows $what instead of doing it", ({ text, plain }) => {
    expect(plainText(text)).toBe(plain);
    expect(logged({ user: text }, text)).toEqual([{ user: plain }, plain]);
  });

  it("leaves all other text and values alone", () => {
    expect(logged({ user: "Zoë 😀", code: 1000 })).toEqual([{ user: "Zoë 😀", code: 1000 }, "m"]);
  });

  it("has an error's class, code, place and causes, and none of its words", () => {
    const cause = Object.assign(new TypeError("cause-word"), { code: "ECONNREFUSED" });
    const error = new RangeError("first-word\n    at second-word (file:1:1)", { cause });
    const [facts] = logged({ err: error }) as [{ err: unknown }];
    expect(facts.err).toEqual({
      type: "RangeError",
      at: expect.arrayContaining([expect.stringMatching(/^at .*logging\.test\.ts/)]) as string[],
      cause: { type: "TypeError", code: "ECONNREFUSED", at: expect.any(Array) as string[] },
    });
    expect(JSON.stringify(facts)).not.toMatch(/(?:first|second|cause)-word/);
  });

  it.each(["secret-word", { message: "secret-word", stack: "secret-word" }, ["secret-word"], null, undefined])(
    "has only the kind of %j where that was thrown",
    (thrown) => {
      expect(logged({ err: thrown })).toEqual([{ err: { type: thrown === null ? "null" : typeof thrown } }, "m"]);
    },
  );

  it("has no place of an error whose words were changed, because nothing tells them apart", () => {
    const error = new Error("secret-word");
    void error.stack;
    error.message = "other";
    expect(errorFacts(error)).toEqual({ type: "Error" });
  });

  it("has the kind of what is thrown and no error, and no code that could be text", () => {
    expect(errorFacts("secret")).toEqual({ type: "string" });
    expect(errorFacts(Object.assign(new Error("x"), { code: "not a code" }))).not.toHaveProperty("code");
  });
});
