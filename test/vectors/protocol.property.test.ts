import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatCursor, parseCursor } from "../../src/protocol/cursor.ts";
import { encodeJson } from "../../src/protocol/encode.ts";
import { isNestedTooDeep, maxDepth, readJsonObject, type Json } from "../../src/protocol/json.ts";
import { isRoomName, isToken, isUserName, utf8Bytes } from "../../src/protocol/names.ts";
import { parseClientFrame } from "../../src/protocol/parse.ts";
import { Random } from "../fuzz/random.ts";
import { requestText } from "../fuzz/requests.ts";

/** Any text, lone surrogates included. */
const anyText = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), loneSurrogates());
/** Nearly a frame: the grammar of the fuzzer, seeded by fast-check. */
const nearlyFrame = fc.nat().map((seed) => requestText(new Random(seed)));

function loneSurrogates(): fc.Arbitrary<string> {
  return fc.array(fc.integer({ min: 0xd7f0, max: 0xe00f })).map((codes) => String.fromCharCode(...codes));
}

function depthOf(value: Json): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe("the reader of frames", () => {
  it("never throws, and tells of a fault only with a code, and never with what came in", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.json(), nearlyFrame), (text) => {
        const parsed = parseClientFrame(text);
        if (parsed.ok) return;
        const { code, message, re, room } = parsed.refusal;
        expect(["bad_frame", "unknown_type", "bad_field", "too_deep"]).toContain(code);
        expect(message).toMatch(/^[ -~]{5,120}$/);
        expect(re === undefined || isToken(re)).toBe(true);
        expect(room === undefined || isRoomName(room)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("takes nothing that a name, a token or a number of the protocol is not", () => {
    fc.assert(
      fc.property(nearlyFrame, (text) => {
        const parsed = parseClientFrame(text);
        const frame = parsed.ok ? parsed.frame : { type: "pong" as const };
        const isGood = [
          !("room" in frame) || isRoomName(frame.room),
          !("event" in frame) || isToken(frame.event),
          !("since" in frame) || frame.since === undefined || parseCursor(formatCursor(frame.since)) !== undefined,
          frame.type !== "history" || (Number.isSafeInteger(frame.limit) && frame.limit >= 1),
        ];
        expect(isGood).not.toContain(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("gives a publish as it was written", () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 6 }),
        anyText.filter(isToken),
        anyText.filter(isRoomName),
        (data, event, room) => {
          const parsed = parseClientFrame(JSON.stringify({ type: "publish", id: "1", room, event, data, echo: false }));
          const frame = { type: "publish", id: "1", key: undefined, room, event, echo: false };
          // -0 is 0 in JSON.
          expect(parsed).toEqual({ ok: true, frame: { ...frame, data: JSON.parse(JSON.stringify(data)) as Json } });
          if (parsed.ok && parsed.frame.type === "publish")
            expect(encodeJson(parsed.frame.data)).toBe(JSON.stringify(data));
        },
      ),
    );
  });
});

describe("the reader of JSON", () => {
  it("measures depth as the value has it, whatever its texts hold", () => {
    const brackets = fc.string({ unit: fc.constantFrom("[", "]", "{", "}", '"', "\\", "e", "1", ",") });
    const { tree } = fc.letrec<{ tree: Json }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 40, depthSize: "max" },
        brackets,
        fc.array(tie("tree"), { maxLength: 2 }),
        fc.dictionary(brackets, tie("tree"), { maxKeys: 2 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        const text = JSON.stringify({ value });
        expect(isNestedTooDeep(text)).toBe(depthOf({ value }) > maxDepth);
      }),
    );
  });

  it("takes objects alone, and no number that JSON cannot give back", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), anyText),
        fc.constantFrom("1", "1e400", "-1E999", "1e-400", "9".repeat(400)),
        (json, number) => {
          for (const text of [json, `{"a":${json},"b":${number}}`]) {
            const read = readJsonObject(text);
            expect(read.ok ? readJsonObject(JSON.stringify(read.value)) : read).toEqual(read);
          }
        },
      ),
    );
  });
});

describe("names", () => {
  it("are in NFC, without controls or outer space, and within their bytes", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string({ unit: "grapheme", minLength: 60, maxLength: 200 })), (text) => {
        const bytes = Buffer.byteLength(text);
        const isPlain =
          text.isWellFormed() && text.normalize("NFC") === text && !/\p{Cc}/u.test(text) && text.trim() === text;
        expect(isRoomName(text)).toBe(isPlain && bytes >= 1 && bytes <= 255);
        expect(isUserName(text)).toBe(isPlain && bytes >= 1 && bytes <= 254 && !text.startsWith("~"));
        if (text.isWellFormed()) expect(utf8Bytes(text)).toBe(bytes);
      }),
      { numRuns: 1_000 },
    );
  });

  it("of events, keys and ids are counted in characters, not in halves of them", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "💥", "é", "\ud83d"), maxLength: 70 }), (text) => {
        const count = Array.from(text).length;
        expect(isToken(text)).toBe(text.isWellFormed() && count >= 1 && count <= 64);
      }),
    );
  });
});

describe("a cursor", () => {
  const epoch = fc.stringMatching(/^[A-Za-z0-9_-]{1,32}$/);

  it("is read as it was written", () => {
    fc.assert(
      fc.property(epoch, fc.maxSafeNat(), (name, offset) => {
        expect(parseCursor(`${name}:${offset}`)).toEqual({ epoch: name, offset });
      }),
    );
  });

  it("has one way to be written: any text that is read is the one that it is written as", () => {
    const nearly = fc.tuple(
      fc.oneof(epoch, anyText),
      fc.constantFrom(":", "", "::"),
      fc.oneof(fc.nat().map(String), anyText, fc.constantFrom("01", "-0", "1e3", "9007199254740992", "1 ")),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          nearly.map((parts) => parts.join("")),
        ),
        (text) => {
          const cursor = parseCursor(text);
          expect(cursor === undefined ? text : formatCursor(cursor)).toBe(text);
        },
      ),
    );
  });
});
