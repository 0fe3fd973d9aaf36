import { describe, expect, it } from "vitest";
import { OrderChecker } from "./checker.ts";

/** What the checker says of one member that saw these messages, of five published. */
function verdict(...seen: (number | [offset: number, content: number])[]): string[] {
  const checker = new OrderChecker(1);
  for (const one of seen) {
    const [offset, content] = typeof one === "number" ? [one, one] : one;
    checker.take(0, offset, content);
  }
  checker.finish(5);
  return checker.faults.map(({ kind, offset }) => `${kind} ${offset}`);
}

describe("the no-loss checker", () => {
  it("finds nothing where nothing is wrong", () => expect(verdict(1, 2, 3, 4, 5)).toEqual([]));
  it("finds a planted loss", () => expect(verdict(1, 2, 4, 5)).toEqual(["lost 3"]));
  it("finds a lost last message", () => expect(verdict(1, 2, 3, 4)).toEqual(["lost 5"]));
  it("finds a member that saw nothing", () => expect(verdict()).toHaveLength(5));
  it("finds a planted duplicate", () => expect(verdict(1, 2, 3, 3, 4, 5)).toEqual(["duplicate 3"]));
  it("finds a late duplicate", () => expect(verdict(1, 2, 3, 4, 5, 1)).toEqual(["duplicate 1"]));
  it("finds a planted swap", () => expect(verdict(1, 3, 2, 4, 5)).toEqual(["disorder 2"]));
  it("finds another message at an offset", () => expect(verdict(1, 2, [3, 4], 4, 5)).toEqual(["content 3"]));
  it("finds a message that was never published", () => expect(verdict(1, 2, 3, 4, 5, 6)).toEqual(["content 6"]));
  it("keeps members apart", () => {
    const checker = new OrderChecker(2);
    checker.take(0, 1, 1);
    checker.finish(1);
    expect(checker.faults).toEqual([{ member: 1, kind: "lost", offset: 1 }]);
  });
});
