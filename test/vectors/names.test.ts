import { describe, expect, it } from "vitest";
import { isRoomName, isUserName } from "../../src/protocol/names.ts";
import { expand, readVectors, type Repeated } from "./vectors.ts";

interface Name extends Repeated {
  name: string;
}
interface Names {
  valid: Name[];
  invalid: Name[];
}

const { rooms, users } = readVectors("names.json") as { rooms: Names; users: Names };

describe.each([
  { what: "room", names: rooms, isName: isRoomName },
  { what: "user", names: users, isName: isUserName },
])("the name of a $what", ({ names, isName }) => {
  it.each(names.valid)("may be $name", (given) => expect(isName(expand(given.name, given))).toBe(true));
  it.each(names.invalid)("may not be $name", (given) => expect(isName(expand(given.name, given))).toBe(false));
});
