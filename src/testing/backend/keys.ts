import type { Run, SuiteTools } from "./bench.ts";
import { bodies, entryOf, keptOffset, keyOf, roomOf } from "./tools.ts";

/** What a key makes safe to repeat (P-31). */
export function keys({ describe, it, expect }: SuiteTools, run: Run): void {
  const room = roomOf("keys");
  describe("keys", () => {
    it(
      "answer a repeated publish with what the first one left",
      run(async ({ backend }) => {
        const key = { ...keyOf("k"), resultJson: '{"id":7}' };
        const offset = keptOffset(await backend.append(room, entryOf("a"), key));
        const { epoch } = await backend.state(room);
        const found = { epoch, offset, fingerprint: "f", resultJson: '{"id":7}' };
        expect(await backend.append(room, entryOf("a"), key)).toEqual({ kind: "duplicate", ...found });
        expect(await backend.find(room, key)).toEqual(found);
        expect(await backend.read(room, 0, 10)).toHaveLength(1);
      }),
    );
    it(
      "settle two at once, and a conflict, before either is kept",
      run(async ({ backend }) => {
        const [first, same, other, find] = await Promise.all([
          backend.append(room, entryOf("a"), keyOf("k")),
          backend.append(room, entryOf("a"), keyOf("k")),
          backend.append(room, entryOf("b"), keyOf("k", "another")),
          backend.find(room, keyOf("k")),
        ]);
        expect([first.kind, same.kind, other.kind]).toEqual(["kept", "duplicate", "conflict"]);
        expect(find).toMatchObject({ offset: first.kind === "kept" ? first.offset : 0 });
        expect(bodies(await backend.read(room, 0, 10))).toEqual(["a"]);
        expect(await backend.append(room, entryOf("b"), keyOf("k", "another"))).toEqual({ kind: "conflict" });
      }),
    );
    it(
      "belong to their room and their scope",
      run(async ({ backend }) => {
        await backend.append(room, entryOf("a"), keyOf("k"));
        const elsewhere = await backend.append(roomOf("keys2"), entryOf("a"), keyOf("k"));
        const another = await backend.append(room, entryOf("b"), { ...keyOf("k", "g"), scope: "bob" });
        const shifted = await backend.append(room, entryOf("c"), { ...keyOf("bk", "g"), scope: "bo" });
        expect([elsewhere.kind, another.kind, shifted.kind]).toEqual(["kept", "kept", "kept"]);
        expect(await backend.find(room, keyOf("unknown"))).toBeUndefined();
        expect(await backend.find(roomOf("no such room"), keyOf("k"))).toBeUndefined();
      }),
    );
    it(
      "are remembered for as long as was asked, then forgotten",
      run(async ({ backend, clock }) => {
        const key = { ...keyOf("k"), dedupeMs: 300_000 };
        await backend.append(room, entryOf("a"), key);
        const short = { ...keyOf("short"), dedupeMs: 1_000 };
        await backend.append(room, entryOf("b"), short);
        clock.now += 1_001;
        expect(await backend.find(room, short)).toBeUndefined();
        clock.now += 298_998;
        expect((await backend.append(room, entryOf("a"), key)).kind).toBe("duplicate");
        clock.now += 2;
        expect(await backend.find(room, key)).toBeUndefined();
        expect((await backend.append(room, entryOf("a"), key)).kind).toBe("kept");
      }),
    );
    it(
      "outlive their message, and a restart",
      run(async (test) => {
        const short = roomOf("keys3", { messages: 1, ms: 1_000 });
        const key = { ...keyOf("k"), resultJson: "1" };
        const first = await test.backend.append(short, entryOf("a", test.clock.now), key);
        await test.backend.append(short, entryOf("b", test.clock.now));
        test.clock.now += 100_000;
        const backend = test.reopen === undefined ? test.backend : await test.reopen();
        const again = await backend.append(short, entryOf("a", test.clock.now), key);
        expect(again).toEqual({ ...first, kind: "duplicate", fingerprint: "f", resultJson: "1" });
        expect(await backend.read(short, 0, 10)).toEqual([]);
      }),
    );
  });
}
