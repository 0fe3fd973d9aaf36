import { signToken, testSecret, unsignedToken } from "../support/token.ts";
import { testApiKey } from "../support/server.ts";

/** Constant, so that a case's bytes are: made in 2020, good until 2100. */
const times = { iat: 1_577_836_800, exp: 4_102_444_800 };
const header = { alg: "HS256", typ: "JWT" };
const tokenOf = (claims: object, secret?: string): string =>
  signToken(header, JSON.stringify({ ...times, ...claims }), secret);

/** What attackers may do: rooms of their own, and never the neighbour's. */
const everything = ["join", "publish", "signal", "presence", "history"];
const rooms = { fuzz: everything, "fuzz/**": everything, "unkept/*": everything, "quiet/*": ["join"] };

/** Stands in the data of messages: no log may have it. */
export const bodyCanary = "canary-body-7f3a91";
const tokenCanary = "canary-token-5c20d4";

export const goodTokens: readonly string[] = ["ann", "bob", "isPrototypeOf", "Zoë", tokenCanary].map((sub) =>
  tokenOf({ sub, rooms }),
);

export const badTokens: readonly string[] = [
  tokenOf({ sub: "ann", rooms }, "another secret that is long enough for HS256"),
  tokenOf({ sub: "ann", exp: 1_577_836_801 }),
  tokenOf({ sub: "ann", exp: "tomorrow" }),
  tokenOf({ sub: "", rooms }),
  tokenOf({ sub: 7, rooms }),
  tokenOf({ sub: "~ann", rooms }),
  tokenOf({ sub: "e\u0301" }),
  tokenOf({ sub: "ann", rooms: { fuzz: ["fly"] } }),
  tokenOf({ sub: "ann", rooms: [null] }),
  tokenOf({ sub: "ann", rooms: ["a".repeat(513)] }),
  tokenOf({ sub: "ann", nbf: 4_102_444_800 }),
  signToken(header, `{"sub":"ann","exp":1e400}`),
  signToken(header, "null"),
  signToken(header, "[".repeat(5_000)),
  signToken({ alg: "none" }, JSON.stringify({ ...times, sub: "ann" })),
  signToken({ ...header, kid: "../../dev/null" }, JSON.stringify({ ...times, sub: "ann" })),
  signToken({ ...header, crit: ["exp"] }, JSON.stringify({ ...times, sub: "ann" })),
  unsignedToken({ ...times, sub: "ann" }),
  "a.b.c",
  "..",
  "",
  tokenCanary,
];

/** None of these may ever stand in a line of the log. */
export const canaries: readonly string[] = [
  bodyCanary,
  testApiKey,
  testSecret,
  ...goodTokens.map((token) => token.split(".")[2] ?? token),
  ...badTokens.flatMap((token) => token.split(".").filter((part) => part.length > 20)),
].filter(
  (text, i, all) => all.indexOf(text) === i && text !== Buffer.from(JSON.stringify(header)).toString("base64url"),
);
