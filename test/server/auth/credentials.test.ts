import { describe, expect, it } from "vitest";
import { findCredentials, queryOf } from "../../../src/server/auth/credentials.ts";
import { receive } from "../received.ts";

const cookieOptions = { cookie: "session", origins: ["https://app.com"] };

/** The headers as they would be sent, e.g. `Cookie: a=b`, read by Node itself. */
async function find(url: string, headers: string[] = [], options: Parameters<typeof findCredentials>[2] = {}) {
  const request = await receive([`GET ${url} HTTP/1.1`, "Host: app.com", ...headers]);
  return findCredentials(request, queryOf(request.url), options);
}

describe("each place of credentials", () => {
  it.each<[string, string, string[], object]>([
    ["query ticket", "/ws?ticket=t", [], { kind: "ticket", token: "t" }],
    ["Authorization header", "/ws", ["Authorization: Bearer t"], { kind: "bearer", token: "t" }],
    ["Authorization header, in other case", "/ws", ["authorization: bEARER   t"], { kind: "bearer", token: "t" }],
    [
      "subprotocol",
      "/ws",
      ["Sec-WebSocket-Protocol: fanfare.v1, fanfare.token.a.b.c"],
      { kind: "subprotocol", token: "a.b.c" },
    ],
    [
      "subprotocol in a second header",
      "/ws",
      ["Sec-WebSocket-Protocol: fanfare.v1", "Sec-WebSocket-Protocol: fanfare.token.t"],
      { kind: "subprotocol", token: "t" },
    ],
    ["query token", "/ws/room?a=1&token=t%2E", [], { kind: "query", token: "t." }],
    ["cookie", "/ws", ["Origin: https://app.com", "Cookie: session=t"], { kind: "cookie", token: "t" }],
  ])("is found: %s", async (_, url, headers, expected) => {
    expect(await find(url, headers, cookieOptions)).toEqual(expected);
  });

  it("is none where the request has none", async () => {
    expect(
      await find("/ws", ["Origin: https://app.com", "Sec-WebSocket-Protocol: fanfare.v1"], cookieOptions),
    ).toBeUndefined();
    expect(await find("/ws?tokens=a&Token=b", ["Authorization: Basic dG9rZW4="])).toBeUndefined();
  });
});

describe("the first kind present decides alone", () => {
  const everything = [
    "Authorization: Bearer bearer",
    "Sec-WebSocket-Protocol: fanfare.token.subprotocol",
    "Cookie: session=cookie",
    "Origin: https://app.com",
  ];
  it.each<[string, string[], string]>([
    ["/ws?token=query&ticket=ticket", everything, "ticket"],
    ["/ws?token=query", everything, "bearer"],
    ["/ws?token=query", everything.slice(1), "subprotocol"],
    ["/ws?token=query", everything.slice(2), "query"],
    ["/ws", everything.slice(2), "cookie"],
  ])("%s with %j: %s", async (url, headers, kind) => {
    expect(await find(url, headers, cookieOptions)).toEqual({ kind, token: kind });
  });

  it.each<[string, string[], string]>([
    ["/ws?ticket=&token=t", [], "ticket"],
    ["/ws?token=", ["Cookie: session=t"], "query"],
    ["/ws?token", [], "query"],
    ["/ws?token=t", ["Authorization: Bearer"], "bearer"],
    ["/ws?token=t", ["Authorization: Bearer  "], "bearer"],
    ["/ws?token=t", ["Sec-WebSocket-Protocol: fanfare.token."], "subprotocol"],
    ["/ws", ["Cookie: session="], "cookie"],
    ["/ws?token=a&token=b", [], "query"],
    ["/ws?ticket=a&ticket=a", [], "ticket"],
    ["/ws", ["Authorization: Bearer a", "Authorization: Bearer b"], "bearer"],
    ["/ws", ["Sec-WebSocket-Protocol: fanfare.token.a, fanfare.token.b"], "subprotocol"],
  ])("%s with %j is there but bad: %s", async (url, headers, kind) => {
    expect(await find(url, [...headers, "Sec-Fetch-Site: same-origin"], { cookie: "session" })).toEqual({
      kind,
      token: "",
    });
  });
});

describe("the cookie", () => {
  const own = "Sec-Fetch-Site: same-origin";

  it.each<[string, string | undefined]>([
    ["session=t", "t"],
    ["a=1; session=t; b=2", "t"],
    ["a=1;session=t", "t"],
    ["session = t ", "t"],
    ['session="t"', "t"],
    ['session="', '"'],
    ["session=a%2Eb", "a.b"],
    ["session=%", ""],
    ["session=%ff", ""],
    ["session=a=b==", "a=b=="],
    ["session=first; session=second", "first"],
    ["Session=t", undefined],
    ["xsession=t; sessionx=t; session", undefined],
    ["a=session=t", undefined],
  ])("%s is read as %j", async (cookie, token) => {
    const expected = token === undefined ? undefined : { kind: "cookie", token };
    expect(await find("/ws", [own, `Cookie: ${cookie}`], { cookie: "session" })).toEqual(expected);
  });

  it("does not count where none is configured, from other origins, or from no known site", async () => {
    expect(await find("/ws", [own, "Cookie: session=t"])).toBeUndefined();
    expect(await find("/ws", ["Cookie: session=t"], cookieOptions)).toBeUndefined();
    expect(await find("/ws", ["Origin: https://evil.com", own, "Cookie: session=t"], cookieOptions)).toBeUndefined();
  });
});

describe("the query of a target", () => {
  it.each([
    ["/ws?a=1?b=2", "a", "1?b=2"],
    ["http://other/ws?a=1", "a", "1"],
    ["//other?a=%00", "a", "\0"],
    ["/ws", "a", null],
    [undefined, "a", null],
  ])("of %j has %s as %j", (target, name, value) => {
    expect(queryOf(target).get(name)).toBe(value);
  });
});
