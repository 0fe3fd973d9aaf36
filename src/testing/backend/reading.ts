import type { LogEntry } from "../../backends/backend.ts";
import type { Run, SuiteTools } from "./bench.ts";
import { bodies, entryOf, keptOffset, keyOf, numbers, roomOf } from "./tools.ts";

/** Reading the log, and what it no longer holds. */
export function reading({ describe, it, expect }: SuiteTools, run: Run): void {
  const room = roomOf("reading");
  describe("reading", () => {
    it(
      "gives what was appended, byte for byte",
      run(async ({ backend }) => {
        const text = '"event":"e","data":"\u{1F600} \u0000 \\ud800 ' + "x".repeat(70_000) + '","at":1';
        const offset = keptOffset(await backend.append(room, { body: text, at: 1, except: undefined }));
        await backend.append(room, { body: "b", at: 2, except: "connection-1" });
        const [first, second] = await backend.read({ ...room, keep: { messages: 10, ms: 1e15 } }, 0, 10);
        const { prev: _, ...plain } = first ?? { prev: 0 };
        expect(plain).toEqual({ offset, body: text, at: 1 });
        expect(second).toMatchObject({ body: "b", at: 2, except: "connection-1" });
      }),
    );
    it(
      "goes through a long log in pages, forwards and backwards",
      run(async ({ backend, clock }) => {
        const all = numbers(1, 2_345).map(String);
        await Promise.all(all.map((body) => backend.append(room, entryOf(body, clock.now))));
        const forwards: LogEntry[] = [];
        for (let page = await backend.read(room, 0, 500); page.length > 0;) {
          expect(page.length).toBeLessThanOrEqual(500);
          forwards.push(...page);
          page = await backend.read(room, forwards.at(-1)?.offset ?? 0, 500);
        }
        expect(bodies(forwards)).toEqual(all);
        const backwards: LogEntry[] = [];
        for (let page = await backend.readBack(room, undefined, 500); page.length > 0;) {
          backwards.unshift(...page);
          page = await backend.readBack(room, backwards[0]?.offset, 500);
        }
        expect(backwards).toEqual(forwards);
      }),
    );
    it(
      "has nothing past the head, before the first, or in a room that is not there",
      run(async ({ backend }) => {
        await backend.append(room, entryOf("a"));
        const { head } = await backend.state(room);
        expect(await backend.read(room, head, 10)).toEqual([]);
        expect(await backend.read(room, head + 1_000, 10)).toEqual([]);
        expect(await backend.readBack(room, head, 10)).toEqual([]);
        expect(bodies(await backend.readBack(room, head + 1_000, 10))).toEqual(["a"]);
        expect(await backend.read(room, 0, 0)).toEqual([]);
        expect(await backend.read(roomOf("nobody was here"), 0, 10)).toEqual([]);
        expect(await backend.readBack(roomOf("nobody was here"), undefined, 10)).toEqual([]);
      }),
    );
    it(
      "has nothing of another epoch than the one that is asked for",
      run(async ({ backend }) => {
        await backend.append(room, entryOf("a"));
        const { epoch } = await backend.state(room);
        expect(bodies(await backend.read(room, 0, 10, epoch))).toEqual(["a"]);
        expect(bodies(await backend.readBack(room, undefined, 10, epoch))).toEqual(["a"]);
        const another = (await backend.state(roomOf("another"))).epoch;
        expect(await backend.read(room, 0, 10, another)).toEqual([]);
        expect(await backend.readBack(room, undefined, 10, another)).toEqual([]);
      }),
    );
  });
}

export function trimming({ describe, it, expect }: SuiteTools, run: Run): void {
  describe("trimming", () => {
    it(
      "keeps the newest so many, and says up to where they are gone",
      run(async ({ backend, clock }) => {
        const room = roomOf("trim/count", { messages: 10, ms: 60_000 });
        const all = numbers(1, 95).map(String);
        await Promise.all(all.map((body) => backend.append(room, entryOf(body, clock.now))));
        const entries = await backend.read(room, 0, 1_000);
        expect(bodies(entries)).toEqual(all.slice(-10));
        const state = await backend.state(room);
        expect(state).toMatchObject({ head: entries.at(-1)?.offset });
        expect(state.trimmed).toBeLessThan(entries[0]?.offset ?? 0);
        expect(state.trimmed).toBeGreaterThan(0);
        expect(bodies(await backend.readBack(room, entries[3]?.offset, 100))).toEqual(all.slice(-10, -7));
        expect(await backend.readBack(room, entries[0]?.offset, 100)).toEqual([]);
      }),
    );
    it(
      "goes by the newest word on how many are kept, from the next message on",
      run(async ({ backend }) => {
        const all = numbers(1, 20).map(String);
        await Promise.all(all.map((body) => backend.append(roomOf("trim/less"), entryOf(body))));
        const less = roomOf("trim/less", { messages: 5, ms: 86_400_000_000_000 });
        await backend.append(less, entryOf("21"));
        const entries = await backend.read(less, 0, 100);
        expect(bodies(entries)).toEqual([...all.slice(-4), "21"]);
        expect(await backend.readBack(less, undefined, 100)).toEqual(entries);
        const { trimmed } = await backend.state(less);
        expect(trimmed).toBe(entries[0]?.prev ?? (entries[0]?.offset ?? 0) - 1);
      }),
    );
    it(
      "never gives what is too old, though nobody appends any more",
      run(async ({ backend, clock, listen }) => {
        const room = roomOf("trim/age", { messages: 100, ms: 60_000 });
        await listen(room);
        for (const body of ["a", "b", "c"]) {
          await backend.append(room, entryOf(body, clock.now));
          clock.now += 20_000;
        }
        expect(bodies(await backend.read(room, 0, 10))).toEqual(["a", "b", "c"]);
        clock.now += 1;
        expect(bodies(await backend.read(room, 0, 10))).toEqual(["b", "c"]);
        expect(bodies(await backend.readBack(room, undefined, 10))).toEqual(["b", "c"]);
        const state = await backend.state(room);
        expect(state.trimmed).toBeGreaterThan(0);
        expect(state.trimmed).toBeLessThan((await backend.read(room, 0, 1))[0]?.offset ?? 0);
        clock.now += 60_000;
        expect(await backend.read(room, 0, 10)).toEqual([]);
        expect(await backend.state(room)).toEqual({ epoch: state.epoch, head: state.head, trimmed: state.head });
      }),
    );
    it(
      "goes on numbering where everything was trimmed, also after it was opened again",
      run(async (test) => {
        const room = roomOf("trim/all", { messages: 100, ms: 60_000 });
        const quiet = await test.listen(room);
        await test.backend.append(room, entryOf("a", test.clock.now));
        const { epoch, head } = await test.backend.state(room);
        test.clock.now += 70_000;
        expect((await test.backend.state(room)).epoch).toBe(epoch);
        const next = await test.backend.append(room, entryOf("b", test.clock.now));
        expect(next).toMatchObject({ kind: "kept", epoch });
        expect(keptOffset(next)).toBeGreaterThan(head);
        quiet.close();
        const backend = test.reopen === undefined ? test.backend : await test.reopen();
        expect(bodies(await backend.read(room, 0, 10))).toEqual(["b"]);
        expect((await backend.state(room)).epoch).toBe(epoch);
      }),
    );
    it(
      "forgets a room with nothing left in it: the next life has another epoch",
      run(async ({ backend, clock }) => {
        const room = roomOf("trim/forget", { messages: 100, ms: 60_000 });
        await backend.append(room, entryOf("a", clock.now), { ...keyOf("k"), dedupeMs: 300_000 });
        const { epoch } = await backend.state(room);
        clock.now += 250_000;
        expect((await backend.state(room)).epoch).toBe(epoch);
        clock.now += 3_600_000;
        const next = await backend.state(room);
        expect(next).toMatchObject({ head: 0, trimmed: 0 });
        expect(next.epoch).not.toBe(epoch);
      }),
    );
    it(
      "never changes the epoch under a subscription",
      run(async ({ backend, clock, listen }) => {
        const room = roomOf("trim/watched", { messages: 100, ms: 60_000 });
        const seen = await listen(room);
        await backend.append(room, entryOf("a", clock.now));
        clock.now += 7 * 86_400_000;
        expect((await backend.state(room)).epoch).toBe(seen.state.epoch);
        await backend.append(room, entryOf("b", clock.now));
        await seen.sync();
        expect(seen.bodies()).toEqual(["a", "b"]);
      }),
    );
  });
}
