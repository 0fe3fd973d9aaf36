import { describe, expect, it } from "vitest";
import type { RoomRights } from "../../../src/server/auth/identity.ts";
import { matches, readRights, rightsIn } from "../../../src/server/auth/rights.ts";

const all = ["history", "join", "presence", "publish", "signal"];

function rights(rooms: RoomRights | undefined, room: string, user = "ann"): string[] {
  return [...rightsIn(rooms === undefined ? { user } : { user, rooms }, room)].sort();
}

describe("a pattern", () => {
  const cases: [pattern: string, matching: string[], others: string[]][] = [
    ["lobby", ["lobby"], ["lobby2", "Lobby", "lobby/a", "a/lobby", "lobb"]],
    ["*", ["a", "lobby", "*"], ["a/b", "a/", "/a", "@ann", "$sys"]],
    ["chat/*", ["chat/a", "chat/a b"], ["chat", "chat/", "chat/a/b", "xchat/a", "chat//a"]],
    ["chat/room-*", ["chat/room-", "chat/room-1"], ["chat/room", "chat/room-1/a"]],
    ["*-*", ["-", "a-b", "a-b-c"], ["a", "a/-b/c"]],
    ["a*b*c", ["abc", "axxbxxc", "abbcbc"], ["ab", "abcd", "ab/c"]],
    ["*/x", ["a/x"], ["/x", "x", "a/b/x"]],
    ["**", ["a", "a/b", "a/", "/"], ["@ann", "$sys", "@ann/x"]],
    ["chat/**", ["chat", "chat/", "chat/a", "chat/a/b/c"], ["chats", "chats/a", "a/chat"]],
    ["**/x", ["x", "a/x", "a/b/x", "/x"], ["ax", "x/a", "a/xx"]],
    ["a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a/b/b"], ["a", "ab", "a/b/c", "b/a/b/c"]],
    ["a/**/b/**/c", ["a/b/c", "a/b/b/c/c", "a/x/b/y/c"], ["a/c", "a/b", "a/c/b"]],
    ["**/**", ["a", "a/b"], []],
    ["a**b", ["ab", "axb"], ["a/b", "a/x/b"]],
    ["***", ["a"], ["a/b", ""]],
    ["a.b", ["a.b"], ["axb"]],
    ["(a+)+$/*", ["(a+)+$/x"], ["aa/x"]],
    ["@*", [], ["@ann", "@"]],
    ["@ann", [], ["@ann"]],
    ["$*", [], ["$sys"]],
    ["__proto__", ["__proto__"], ["constructor"]],
  ];
  it.each(cases)("%j matches %j, and none of %j", (pattern, matching, others) => {
    expect(matching.filter((room) => !matches(pattern, room))).toEqual([]);
    expect(others.filter((room) => matches(pattern, room))).toEqual([]);
  });

  it("takes bounded work, however it is written", () => {
    const stars = `${"*a".repeat(255)}b`;
    const segments = `${"**/a*/".repeat(80)}b`;
    const room = "a".repeat(255);
    const path = `${"a/".repeat(127)}c`;
    const start = performance.now();
    for (let i = 0; i < 20; i++) expect(matches(stars, room) || matches(segments, path)).toBe(false);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

describe("rights in a room", () => {
  it("are all rights where the identity names no rooms", () => {
    expect(rights(undefined, "a/b")).toEqual(all);
  });

  it("are all or none by a list of patterns", () => {
    expect(rights(["a", "b/*"], "b/1")).toEqual(all);
    expect(rights(["a", "b/*"], "c")).toEqual([]);
    expect(rights([], "a")).toEqual([]);
  });

  it("are by an object what all matching patterns list together, and join is not implied", () => {
    const rooms: RoomRights = { "news/**": ["join", "history"], "news/ann": ["publish"], "**": ["signal"] };
    expect(rights(rooms, "news/ann")).toEqual(["history", "join", "publish", "signal"]);
    expect(rights(rooms, "news/bob")).toEqual(["history", "join", "signal"]);
    expect(rights(rooms, "else")).toEqual(["signal"]);
    expect(rights({}, "else")).toEqual([]);
  });

  it.each([undefined, [], ["**"], ["@ann", "@bob"], { "@*": ["publish"] }] as (RoomRights | undefined)[])(
    "are join, presence and history in the own personal room, and none in others', with %j",
    (rooms) => {
      expect(rights(rooms, "@ann")).toEqual(["history", "join", "presence"]);
      expect(["@bob", "@", "@annn", "@ann/x", "@Ann"].flatMap((room) => rights(rooms, room))).toEqual([]);
    },
  );

  it("belong to an anonymous user in its personal room too", () => {
    expect(rights({}, "@~abc", "~abc")).toEqual(["history", "join", "presence"]);
  });

  it.each([undefined, ["**"], ["$sys"]] as (RoomRights | undefined)[])(
    "are none in reserved rooms, with %j",
    (rooms) => {
      expect(rights(rooms, "$sys")).toEqual([]);
    },
  );
});

describe("rights from outside", () => {
  const many = Array.from({ length: 1_000 }, (_, i) => `r${i}`);

  it.each([
    [[]],
    [["a", "**"]],
    [{}],
    [{ a: [] }],
    [{ "a/*": ["join", "publish", "signal", "presence", "history"] }],
    [many],
  ])("are taken: %j", (value) => {
    expect(readRights(value)).toEqual(value);
  });

  it.each([
    [null],
    ["a"],
    [1],
    [true],
    [[1]],
    [[""]],
    [[["a"]]],
    [{ a: "join" }],
    [{ a: ["admin"] }],
    [{ a: ["join", "join", "join", "join", "join", "join"] }],
    [{ a: null }],
    [{ "": ["join"] }],
    [["x".repeat(513)]],
    [[...many, "one more"]],
    [Object.fromEntries([...many, "one more"].map((room) => [room, ["join"]]))],
  ])("are refused: %j", (value) => {
    expect(readRights(value)).toBeUndefined();
  });

  it("take a room named __proto__ as a plain name", () => {
    const rooms = readRights(JSON.parse(`{"__proto__":["join"]}`));
    expect(rights(rooms, "__proto__")).toEqual(["join"]);
    expect(rights(rooms, "a")).toEqual([]);
  });
});
