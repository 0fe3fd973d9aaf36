import type { Run, SuiteTools } from "./bench.ts";
import { bodies, entryOf, keptOffset, numbers, roomOf } from "./tools.ts";

/** Numbers, order and epochs. */
export function numbering({ describe, it, expect }: SuiteTools, run: Run): void {
  const room = roomOf("numbering");
  describe("numbering", () => {
    it(
      "begins an epoch at offset 1 and rises",
      run(async ({ backend }) => {
        const state = await backend.state(room);
        expect(state.epoch).toMatch(/^[A-Za-z0-9_-]{16,32}$/);
        expect(state).toMatchObject({ head: 0, trimmed: 0 });
        const first = await backend.append(room, entryOf("a"));
        const second = await backend.append(room, entryOf("b"));
        expect(first).toEqual({ kind: "kept", epoch: state.epoch, offset: expect.any(Number) });
        expect(keptOffset(second)).toBeGreaterThan(keptOffset(first));
        expect((await backend.state(room)).epoch).toBe(state.epoch);
      }),
    );
    it(
      "takes pipelined appends in the order of the calls, and settles them in it",
      run(async ({ backend }) => {
        const settled: number[] = [];
        const calls = Array.from({ length: 500 }, async (_, i) => {
          await backend.append(room, entryOf(`m${i}`));
          settled.push(i);
        });
        await Promise.all(calls);
        expect(settled).toEqual(numbers(0, 499));
        expect(bodies(await backend.read(room, 0, 1_000))).toEqual(numbers(0, 499).map((i) => `m${i}`));
      }),
    );
    it(
      "keeps the rooms apart, many at once",
      run(async ({ backend }) => {
        const rooms = numbers(1, 200).map((i) => roomOf(`many/${i}`));
        await Promise.all(
          rooms.flatMap((each) => [1, 2, 3].map((n) => backend.append(each, entryOf(`${each.name}-${n}`)))),
        );
        for (const each of rooms) {
          expect(bodies(await backend.read(each, 0, 10))).toEqual([1, 2, 3].map((n) => `${each.name}-${n}`));
        }
        const epochs = await Promise.all(rooms.map(async (each) => (await backend.state(each)).epoch));
        expect(new Set(epochs).size).toBe(rooms.length);
      }),
    );
    it(
      "has holes only where each message names the one before it, and they can be counted",
      run(async ({ backend, listen }) => {
        const seen = await listen(room);
        for (const i of numbers(1, 20)) {
          await backend.append(room, entryOf(`m${i}`));
          await backend.append(roomOf("numbering, another"), entryOf(`n${i}`));
        }
        const { epoch, head } = await backend.state(room);
        const entries = await backend.read(room, 0, 100);
        const before = (i: number): number => entries[i - 1]?.offset ?? 0;
        expect(entries.map(({ prev, offset }) => prev ?? offset - 1)).toEqual(entries.map((_, i) => before(i)));
        expect(seen.entries).toEqual(entries);
        expect(await backend.readBack(room, undefined, 5)).toEqual(entries.slice(-5));
        for (const i of [0, 7, 20]) {
          const left = (await backend.count?.(room, before(i), head, epoch)) ?? head - before(i);
          expect(left).toBe(20 - i);
        }
      }),
    );
    it(
      "goes on after it was opened again: epoch, head and messages are as they were",
      run(
        async (test) => {
          if (test.reopen === undefined)
            throw new Error("a backend that survives its process gives the suite `reopen`");
          await test.backend.append(room, { ...entryOf("a"), except: "c1" });
          await test.backend.append(room, entryOf("b"));
          const empty = await test.backend.state(roomOf("empty"));
          const before = await test.backend.state(room);
          const entries = await test.backend.read(room, 0, 10);
          const backend = await test.reopen();
          expect(await backend.state(room)).toEqual(before);
          expect(await backend.state(roomOf("empty"))).toEqual(empty);
          expect(await backend.read(room, 0, 10)).toEqual(entries);
          const next = await backend.append(room, entryOf("c"));
          expect(next).toMatchObject({ kind: "kept", epoch: before.epoch });
          expect(keptOffset(next)).toBeGreaterThan(before.head);
        },
        ["log", "survival"],
      ),
    );
  });
}
