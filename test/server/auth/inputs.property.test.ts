import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findCredentials } from "../../../src/server/auth/credentials.ts";
import { readCookie } from "../../../src/server/auth/cookies.ts";
import { originAllowed } from "../../../src/server/auth/origin.ts";
import { matches, readRights, rightsIn } from "../../../src/server/auth/rights.ts";

/** Few characters, so that patterns and names meet. */
const name = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "+"), maxLength: 12 });
const pattern = fc.string({ unit: fc.constantFrom("a", "b", "/", "*", "*", ".", "("), minLength: 1, maxLength: 10 });

/** What the rules of a pattern say, as a regular expression: slow, but easy to believe. */
function asRegExp(text: string): RegExp {
  const segments = text.split("/").map((segment) => {
    if (segment === "**") return undefined;
    if (/^\*+$/.test(segment)) return "[^/]+";
    return segment.replaceAll(/[.+()]/g, String.raw`\$&`).replaceAll(/\*+/g, "[^/]*");
  });
  // A segment that is `**` takes any number of others, with the slash that belongs to each.
  const source = segments.map((segment) => (segment === undefined ? "(?:/[^/]*)*" : `/${segment}`)).join("");
  return new RegExp(`^${source}$`, "u");
}

describe("a pattern of rights", () => {
  it("matches what its rules say, however it is written", () => {
    fc.assert(
      fc.property(
        pattern,
        name.filter((room) => room !== ""),
        (text, room) => {
          expect(matches(text, room)).toBe(asRegExp(text).test(`/${room}`));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  it("never gives a right in another's personal room, or in one of the server's", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constant(undefined), fc.array(pattern), fc.constant(["**", "@*", "@bob", "$*"])),
        fc.constantFrom("@", "$"),
        name,
        (rooms, first, rest) => {
          const identity = { user: "ann", ...(rooms !== undefined && { rooms }) };
          expect([...rightsIn(identity, first + rest)]).toEqual([]);
        },
      ),
    );
  });

  it("comes from a claim whole or not at all, and no claim throws", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.jsonValue(),
          fc.array(pattern),
          fc.dictionary(pattern, fc.array(fc.constantFrom("join", "publish", "fly"))),
        ),
        (claim) => {
          const rooms = readRights(claim);
          expect(rooms === undefined || rooms === claim).toBe(true);
          if (rooms !== undefined) expect(() => rightsIn({ user: "ann", rooms }, "a/b")).not.toThrow();
        },
      ),
    );
  });
});

describe("a cookie", () => {
  const value = fc.string({ unit: "grapheme" }).filter((text) => text.isWellFormed());

  it("is found among others, and read as it was written", () => {
    const others = fc.array(fc.stringMatching(/^[a-z]{1,5}=[a-z"%]{0,5}$/), { maxLength: 3 });
    fc.assert(
      fc.property(others, value, others, (before, text, after) => {
        const header = [...before, `Session=${encodeURIComponent(text)}`, ...after].join("; ");
        expect(readCookie(header, "Session")).toBe(text);
      }),
    );
  });

  it("is never found by another name, and no header throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (header) => {
        const found = readCookie(header, "session");
        expect(found === undefined || /(?:^|;)\s*session\s*=/u.test(header)).toBe(true);
      }),
    );
  });
});

describe("credentials", () => {
  const token = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/);
  const kinds = ["ticket", "bearer", "subprotocol", "query", "cookie"] as const;

  it("are those of the first kind present, whatever other kinds say (P-11)", () => {
    fc.assert(
      fc.property(fc.subarray([...kinds]), fc.tuple(token, token, token, token, token), (present, tokens) => {
        const given = new Map(present.map((kind) => [kind, tokens[kinds.indexOf(kind)] ?? ""]));
        const query = new URLSearchParams();
        if (given.has("ticket")) query.set("ticket", given.get("ticket") ?? "");
        if (given.has("query")) query.set("token", given.get("query") ?? "");
        const headers = {
          host: "app.example.com",
          "sec-fetch-site": "same-origin",
          ...(given.has("bearer") && { authorization: `Bearer ${given.get("bearer")}` }),
          ...(given.has("subprotocol") && {
            "sec-websocket-protocol": `fanfare.v1, fanfare.token.${given.get("subprotocol")}`,
          }),
          ...(given.has("cookie") && { cookie: `a=b; session=${given.get("cookie")}` }),
        };
        const request = { headers, rawHeaders: Object.entries(headers).flat() };
        const kind = kinds.find((one) => given.has(one));
        const expected = kind === undefined ? undefined : { kind, token: given.get(kind) };
        expect(findCredentials(request, query, { cookie: "session", origins: undefined })).toEqual(expected);
      }),
    );
  });

  it("that come twice are bad, and no header throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), fc.string({ unit: "binary-ascii" }), (one, two) => {
        const headers = {
          authorization: one,
          cookie: two,
          "sec-websocket-protocol": two,
          "sec-fetch-site": "same-origin",
        };
        const request = { headers, rawHeaders: ["Authorization", `Bearer ${one}`, "authorization", `Bearer ${two}`] };
        const found = findCredentials(request, new URLSearchParams(), { cookie: "session" });
        expect(found).toEqual({ kind: "bearer", token: "" });
      }),
    );
  });
});

describe("an origin", () => {
  const host = fc.stringMatching(/^[a-z]{1,6}(?:\.[a-z]{1,6}){0,2}$/);

  it("is let in only as it is listed", () => {
    fc.assert(
      fc.property(host, fc.oneof(host, fc.string({ unit: "binary-ascii" })), (listed, given) => {
        const isIn = originAllowed({ headers: { origin: `https://${given}` } }, [`https://${listed}`]);
        expect(isIn).toBe([listed, `${listed}:443`].includes(given.toLowerCase()));
      }),
    );
  });

  it("is let in by a wildcard only from under its host", () => {
    fc.assert(
      fc.property(
        host,
        fc.constantFrom("", "evil", "a.", "a.b.", ".", "a.b", "-."),
        fc.constantFrom("", ".evil", ":1", "/"),
        (listed, before, after) => {
          const isIn = originAllowed({ headers: { origin: `https://${before}${listed}${after}` } }, [
            `https://*.${listed}`,
          ]);
          expect(isIn).toBe(["a.", "a.b.", "-."].includes(before) && after === "");
        },
      ),
    );
  });
});
