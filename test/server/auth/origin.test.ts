import { describe, expect, it } from "vitest";
import { checkOrigins, cookieCounts, originAllowed } from "../../../src/server/auth/origin.ts";

function from(origin: string | undefined, host = "app.com"): { headers: Record<string, string> } {
  return { headers: { host, ...(origin !== undefined && { origin }) } };
}

describe("with a list, an origin is let in by scheme, host and port", () => {
  const list = ["https://app.com", "http://localhost:8080", "https://Shop.com:443", "https://*.example.com"];
  it.each([
    "https://app.com",
    "https://app.com:443",
    "HTTPS://APP.com",
    "http://localhost:8080",
    "https://shop.com",
    "https://a.example.com",
    "https://a.b.example.com",
  ])("%s is", (origin) => {
    expect(originAllowed(from(origin), list)).toBe(true);
  });

  it.each([
    "https://app.com.evil",
    "https://evilapp.com",
    "https://app.com:444",
    "http://app.com",
    "https://app.com.",
    "https://app.com/",
    "https://app.com@evil.com",
    "https://evil.com#app.com",
    "https://app.com, https://app.com",
    "https://app.com,https://evil.com",
    "https://app.com$",
    "https://app.com`",
    "https://a`.example.com",
    "https://$.example.com",
    "https://example.com",
    "https://.example.com",
    "https://evilexample.com",
    "https://a.example.com.evil",
    "http://a.example.com",
    "https://a.example.com:8443",
    "https://*.example.com",
    "http://localhost",
    "null",
    "",
    "app.com",
    "https://",
    "file://",
    "*",
  ])("%s is not", (origin) => {
    expect(originAllowed(from(origin), list)).toBe(false);
  });

  it("is not let in as the server's own host where that is not listed", () => {
    expect(originAllowed(from("https://own.com", "own.com"), list)).toBe(false);
    expect(originAllowed(from("https://own.com", "own.com"), [])).toBe(false);
  });
});

describe("without a list, the server's own host alone is let in", () => {
  it.each([
    ["https://app.com", "app.com", true],
    ["http://app.com", "app.com", true],
    ["https://app.com", "APP.com:443", true],
    ["http://127.0.0.1:8080", "127.0.0.1:8080", true],
    ["http://[::1]:8080", "[::1]:8080", true],
    ["http://127.0.0.1:8081", "127.0.0.1:8080", false],
    ["http://localhost:8080", "127.0.0.1:8080", false],
    ["https://app.com", "app.com:8080", false],
    ["https://app.com.evil", "app.com", false],
    ["https://evilapp.com", "app.com", false],
    ["https://sub.app.com", "app.com", false],
    ["https://app.com", "app.com, app.com", false],
    ["null", "app.com", false],
    ["https://app.com`", "app.com`", false],
  ])("%s at %s: %s", (origin, host, allowed) => {
    expect(originAllowed(from(origin, host), undefined)).toBe(allowed);
  });

  it("nobody is where there is no Host", () => {
    expect(originAllowed({ headers: { origin: "https://app.com" } }, undefined)).toBe(false);
  });
});

describe("a request without Origin", () => {
  it.each([[undefined], [[]], [["https://app.com"]], [["*"]]])("passes with the list %j", (list) => {
    expect(originAllowed(from(undefined), list)).toBe(true);
  });
});

describe("special entries", () => {
  it("* lets in every origin that is well-formed, and null", () => {
    expect(["https://any.where", "null"].every((origin) => originAllowed(from(origin), ["*"]))).toBe(true);
    expect(["https://a`", "https://a, https://b", "x"].some((origin) => originAllowed(from(origin), ["*"]))).toBe(
      false,
    );
  });

  it("null is on no list", () => {
    expect(originAllowed(from("null"), ["null"])).toBe(false);
  });
});

describe("a cookie", () => {
  it.each<[string, string | undefined, string | undefined, string[] | undefined, boolean]>([
    ["an origin on the list", "https://app.com", undefined, ["https://app.com"], true],
    ["an origin on the list, whatever the site", "https://app.com", "cross-site", ["https://app.com"], true],
    ["an origin not on the list", "https://evil.com", "same-origin", ["https://app.com"], false],
    ["the own host without a list", "https://host.com", undefined, undefined, true],
    ["another host without a list", "https://evil.com", undefined, undefined, false],
    ["no origin", undefined, undefined, undefined, false],
    ["no origin, of the same origin", undefined, "same-origin", undefined, true],
    ["no origin, of the same site", undefined, "same-site", undefined, false],
    ["no origin, typed by the user", undefined, "none", undefined, false],
    ["an origin let in by * alone", "https://evil.com", undefined, ["*"], false],
    ["the own host with *", "https://host.com", undefined, ["*"], true],
    ["an origin on the list beside *", "https://app.com", undefined, ["*", "https://app.com"], true],
    ["null let in by *", "null", undefined, ["*"], false],
  ])("with %s counts as it should", (_, origin, site, origins, counts) => {
    const { headers } = from(origin, "host.com");
    expect(cookieCounts({ headers: { ...headers, ...(site && { "sec-fetch-site": site }) } }, origins)).toBe(counts);
  });
});

describe("a list of origins", () => {
  it("is checked at the start", () => {
    const good = ["*", "https://app.com", "https://*.app.com:8443", "HTTP://[::1]:80", "capacitor://localhost"];
    expect(() => checkOrigins(good)).not.toThrow();
  });

  it.each([
    "null",
    "app.com",
    "https://app.com/",
    "https://app.com/chat",
    "https://*",
    "https://a.*.com",
    "",
    "https://a b.com",
  ])("throws for %j", (entry) => {
    expect(() => checkOrigins(["https://app.com", entry])).toThrow(TypeError);
    expect(() => checkOrigins([entry])).toThrow(JSON.stringify(entry));
  });
});
