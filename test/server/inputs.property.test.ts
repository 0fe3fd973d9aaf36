import { isIP } from "node:net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bySpecificity, compilePath, matchPath } from "../../src/server/endpoints/path.ts";
import { plainText } from "../../src/server/logging.ts";
import { makeAddressOf } from "../../src/server/proxies.ts";
import { frameBinary, framesIn, frameText, frameTexts } from "../../src/server/wire.ts";

describe("frames on the wire", () => {
  /** Around the lengths at which a header grows, too. */
  const payload = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.constantFrom(0, 125, 126, 127, 65_535, 65_536, 70_000), fc.boolean())
      .map(([length, isText]) => (isText ? "x".repeat(length) : new Uint8Array(length).fill(7))),
  );

  it("come out as they went in, in order, each at its start", () => {
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 8 }), (payloads) => {
        const { bytes, starts } = frameTexts(payloads);
        const found = [...framesIn(bytes)];
        expect(found.map(({ isBinary }) => isBinary)).toEqual(payloads.map((one) => typeof one !== "string"));
        const isSame = found.map(({ payload: one }, i) => one.equals(Buffer.from(payloads[i] as string)));
        expect(isSame).toEqual(payloads.map(() => true));
        for (const [i, one] of payloads.entries()) {
          const alone = typeof one === "string" ? frameText(one) : frameBinary(one);
          expect(alone.equals(bytes.subarray(starts[i], starts[i + 1]))).toBe(true);
        }
        expect(starts.at(-1)).toBe(bytes.length);
      }),
    );
  });
});

describe("the path of an endpoint", () => {
  const text = fc.stringMatching(/^[A-Za-z0-9._~-]{1,5}$/);
  const segment = fc.oneof(
    text,
    fc.stringMatching(/^:[A-Za-z_][A-Za-z0-9_]{0,3}$/),
    fc.constantFrom(":__proto__", ":constructor"),
  );
  const path = fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .filter(
      (parts) =>
        new Set(parts.filter((part) => part.startsWith(":"))).size ===
        parts.filter((part) => part.startsWith(":")).length,
    );

  it("gives each parameter what stands in its place", () => {
    fc.assert(
      fc.property(
        path,
        fc.array(fc.stringMatching(/^[^/?#]{1,6}$/), { minLength: 4, maxLength: 4 }),
        (parts, values) => {
          const asked = parts.map((part, i) => (part.startsWith(":") ? (values[i] ?? "") : part));
          const found = matchPath(compilePath(`/${parts.join("/")}`), asked);
          const expected = parts.flatMap((part, i) =>
            part.startsWith(":") ? [[part.slice(1), asked[i]] as const] : [],
          );
          expect(found && new Map(Object.entries(found))).toEqual(new Map(expected));
        },
      ),
    );
  });

  it("matches no other path, and no path throws", () => {
    fc.assert(
      fc.property(path, fc.array(fc.string({ unit: "binary", maxLength: 6 }), { maxLength: 5 }), (parts, asked) => {
        const found = matchPath(compilePath(`/${parts.join("/")}`), asked);
        const fits =
          parts.length === asked.length &&
          parts.every((part, i) => (part.startsWith(":") ? asked[i] !== "" : asked[i] === part));
        expect(found !== undefined).toBe(fits);
      }),
    );
  });

  it("is compiled only where a request could have it", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom("/", ":", "a", "%", "*", " ") })),
        (given) => {
          const isGood = /^(?:\/(?::[A-Za-z_]\w*|[A-Za-z0-9._~-]+))+$/.test(given);
          const names = given.split("/").filter((part) => part.startsWith(":"));
          if (isGood && new Set(names).size === names.length) expect(compilePath(given).path).toBe(given);
          else expect(() => compilePath(given)).toThrow(TypeError);
        },
      ),
    );
  });

  it("is in an order that sorting can rely on", () => {
    fc.assert(
      fc.property(path, path, path, (...given) => {
        const [a, b, c] = given.map((parts) => compilePath(`/${parts.join("/")}`)) as [
          ReturnType<typeof compilePath>,
          ReturnType<typeof compilePath>,
          ReturnType<typeof compilePath>,
        ];
        expect(Math.sign(bySpecificity(a, b))).toBe(-Math.sign(bySpecificity(b, a)) + 0);
        const isSameLength = new Set(given.map((parts) => parts.length)).size === 1;
        if (isSameLength && bySpecificity(a, b) < 0 && bySpecificity(b, c) < 0)
          expect(bySpecificity(a, c)).toBeLessThan(0);
      }),
    );
  });
});

describe("where a request came from", () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const junk = fc.string({ unit: "binary-ascii", maxLength: 20 }).map((text) => text.replaceAll(",", ""));
  const from = (peer: string, header: string | undefined): Parameters<ReturnType<typeof makeAddressOf>>[0] =>
    ({ socket: { remoteAddress: peer }, headers: header === undefined ? {} : { "x-forwarded-for": header } }) as never;

  it("is its socket's address where no proxy is trusted, or the peer is none of them", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.array(fc.oneof(address, junk)), (peer, entries) => {
        expect(makeAddressOf()(from(peer, entries.join(",")))).toBe(peer);
        if (!peer.startsWith("10.")) expect(makeAddressOf(["10.0.0.0/8"])(from(peer, entries.join(", ")))).toBe(peer);
      }),
    );
  });

  it("is what the last trusted proxy says, whatever the client wrote before it", () => {
    const outside = fc.ipV4().filter((ip) => !ip.startsWith("10."));
    const hops = fc.array(
      fc.nat(255).map((last) => `10.0.0.${last}`),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(address, junk)), outside, hops, (forged, client, proxies) => {
        const header = [...forged, client, ...proxies].join(", ");
        expect(makeAddressOf(["10.0.0.0/8"])(from("10.9.9.9", header))).toBe(client);
      }),
    );
  });

  it("is always an address, and no header throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.oneof(address, junk)).map(String)), (header) => {
        expect(isIP(makeAddressOf(["0.0.0.0/0", "::/0"])(from("10.0.0.1", header)))).not.toBe(0);
      }),
    );
  });
});

describe("text in a log", () => {
  it("is one line of characters that do nothing, and stays itself where it already is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const plain = plainText(text);
        expect(plain).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        expect(plain.isWellFormed()).toBe(true);
        expect(plainText(plain)).toBe(plain);
      }),
    );
  });
});
