import { describe, expect, it } from "vitest";
import type { Json } from "../../src/protocol/json.ts";
import { fill, mismatch, type Bindings } from "./match.ts";

const differs = (actual: Json, pattern: Json, bindings: Bindings = new Map()): boolean =>
  mismatch(actual, pattern, bindings) !== undefined;

describe("a pattern of a dialogue", () => {
  it("takes further fields, but no other value, kind or length", () => {
    expect(differs({ a: 1, b: 2 }, { a: 1 })).toBe(false);
    expect(differs({ a: 2 }, { a: 1 })).toBe(true);
    expect(differs({ a: "1" }, { a: 1 })).toBe(true);
    expect(differs({ a: null }, { a: {} })).toBe(true);
    expect(differs({ a: [1] }, { a: [] })).toBe(true);
    expect(differs({ a: [1, { b: 3 }] }, { a: [1, { b: 2 }] })).toBe(true);
    expect(differs({}, { a: 1 })).toBe(true);
    expect(differs({}, { constructor: "$any" })).toBe(true);
  });

  it("tells an absent field from one that is there", () => {
    expect(differs({}, { a: "$absent" })).toBe(false);
    expect(differs({ a: null }, { a: "$absent" })).toBe(true);
    expect(differs({}, { a: "$any" })).toBe(true);
  });

  it("binds a name once and compares it from then on", () => {
    const bindings: Bindings = new Map();
    expect(differs({ cursor: "e-1:0" }, { cursor: "$epoch:0" }, bindings)).toBe(false);
    expect(bindings.get("epoch")).toBe("e-1");
    expect(differs({ cursor: "e-1:7" }, { cursor: "$epoch:7" }, bindings)).toBe(false);
    expect(differs({ cursor: "e-2:7" }, { cursor: "$epoch:7" }, bindings)).toBe(true);
    expect(differs({ at: 5 }, { at: "$at" }, bindings)).toBe(false);
    expect(differs({ at: 6 }, { at: "$at" }, bindings)).toBe(true);
  });

  it("knows kinds and a plain dollar", () => {
    expect(differs({ n: 1 }, { n: "$integer" })).toBe(false);
    expect(differs({ n: 1.5 }, { n: "$integer" })).toBe(true);
    expect(differs({ s: "" }, { s: "$string" })).toBe(true);
    expect(differs({ s: "$x" }, { s: "$$x" })).toBe(false);
    expect(differs({ s: "x" }, { s: "$$x" })).toBe(true);
  });
});

describe("what is sent", () => {
  it("has its names replaced, and a name that nothing is bound to is a fault", () => {
    const bindings: Bindings = new Map<string, Json>([
      ["room", "r1"],
      ["n", 7],
    ]);
    expect(fill({ room: "$room/x", n: "$n", plain: "$$n" }, bindings)).toEqual({ room: "r1/x", n: 7, plain: "$n" });
    expect(() => fill("$other", bindings)).toThrow("$other");
  });
});
