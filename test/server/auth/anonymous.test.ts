import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { anonymousUser } from "../../../src/server/auth/anonymous.ts";

const secret = "0123456789012345678901";

describe("an anonymous user", () => {
  it("is ~ and 22 random characters", () => {
    expect(anonymousUser([], () => new Uint8Array(16).fill(255))).toBe("~_____________________w");
    expect(anonymousUser([], randomBytes)).toMatch(/^~[A-Za-z0-9_-]{22}$/);
    expect(anonymousUser([], randomBytes)).not.toBe(anonymousUser([], randomBytes));
  });

  it("is the same one with the same secret, which its name does not tell", () => {
    const user = anonymousUser([secret], randomBytes);
    expect(user).toMatch(/^~[A-Za-z0-9_-]{22}$/);
    expect(anonymousUser([secret], randomBytes)).toBe(user);
    expect(anonymousUser([`${secret}x`], randomBytes)).not.toBe(user);
    expect(user).not.toContain(secret.slice(0, 8));
  });

  it.each([[secret], ["x".repeat(64)], ["é".repeat(64)], ["😀".repeat(64)]])("takes the secret %s", (given) => {
    expect(anonymousUser([given], randomBytes)).toBeDefined();
  });

  it.each([
    [[""]],
    [[secret.slice(1)]],
    [["x".repeat(65)]],
    [["😀".repeat(21)]],
    [["x".repeat(200)]],
    [[secret, secret]],
  ])("refuses the secrets %j", (given) => {
    expect(anonymousUser(given, randomBytes)).toBeUndefined();
  });
});
