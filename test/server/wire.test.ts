import type { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { frameText, frameTexts, payloads } from "../../src/server/wire.ts";

// The other side's own parser; the types do not list it.
const { Receiver } = (await import("ws")) as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

interface Received {
  readonly text: string;
  readonly isBinary: boolean;
}

/** What `ws` reads of bytes that a server sent; rejects where it finds them broken. */
async function received(bytes: Buffer): Promise<Received[]> {
  const messages: Received[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on("message", (data: Buffer, isBinary: boolean) => messages.push({ text: data.toString(), isBinary }));
  await new Promise<void>((resolve, reject) => {
    receiver.once("error", reject);
    receiver.end(bytes, () => resolve());
  });
  return messages;
}

/** The places where the header's form changes. */
const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000];

describe("a frame", () => {
  it.each(sizes)("of %i bytes is one text message for ws", async (size) => {
    const text = "x".repeat(size);
    expect(await received(frameText(text))).toEqual([{ text, isBinary: false }]);
  });

  it("counts bytes and not characters", async () => {
    const text = "é€😀".repeat(14);
    expect(Buffer.byteLength(text)).toBe(126);
    expect(await received(frameText(text))).toEqual([{ text, isBinary: false }]);
  });
});

describe("several frames in one buffer", () => {
  const texts = [...sizes.map((size) => "y".repeat(size)), "ünï", ""];

  it("are as many messages for ws, in order", async () => {
    const { bytes } = frameTexts(texts);
    expect((await received(bytes)).map(({ text }) => text)).toEqual(texts);
  });

  it("begin where `starts` says, and its last item is the end", async () => {
    const { bytes, starts } = frameTexts(texts);
    expect(starts).toHaveLength(texts.length + 1);
    expect(starts.at(-1)).toBe(bytes.length);
    for (const [i, start] of starts.slice(0, -1).entries()) {
      expect((await received(bytes.subarray(start))).map(({ text }) => text)).toEqual(texts.slice(i));
    }
  });

  it("give their payloads back", () => {
    expect(Array.from(payloads(frameTexts(texts).bytes), String)).toEqual(texts);
  });

  it("may be none", () => {
    expect(frameTexts([])).toEqual({ bytes: Buffer.alloc(0), starts: [0] });
  });
});
