import type { RoomListener } from "../../backends/backend.ts";
import type { Run, SuiteTools } from "./bench.ts";
import { bodies, entryOf, keyOf, numbers, roomOf } from "./tools.ts";

/** Facts, odd names, and the end. */
export function facts({ describe, it, expect }: SuiteTools, run: Run): void {
  describe("facts", () => {
    it(
      "are there until they expire, and can be written over",
      run(async ({ backend, clock }) => {
        await backend.set("f", "1", 10_000);
        expect(await backend.get("f")).toBe("1");
        await backend.set("f", "2", 20_000);
        clock.now += 19_999;
        expect(await backend.get("f")).toBe("2");
        clock.now += 1;
        expect(await backend.get("f")).toBeUndefined();
        expect(await backend.take("f")).toBeUndefined();
        expect(await backend.get("never set")).toBeUndefined();
      }, []),
    );
    it(
      "hold for as long as was asked, a moment or a year, whichever was said last",
      run(async ({ backend, clock }) => {
        const dayMs = 86_400_000;
        await backend.set("long", "1", 400 * dayMs);
        await backend.set("shorter", "1", 400 * dayMs);
        await backend.set("shorter", "2", 60_000);
        await backend.set("longer", "1", 60_000);
        await backend.set("longer", "2", 400 * dayMs);
        clock.now += 59_999;
        for (const key of ["shorter", "longer"]) expect(await backend.get(key)).toBe("2");
        clock.now += 1;
        expect(await backend.get("shorter")).toBeUndefined();
        clock.now += 399 * dayMs;
        expect([await backend.get("long"), await backend.take("longer")]).toEqual(["1", "2"]);
        clock.now += dayMs;
        expect(await backend.get("long")).toBeUndefined();
        expect(await backend.take("longer")).toBeUndefined();
      }, []),
    );
    it(
      "are given to one taker alone",
      run(async ({ backend }) => {
        await backend.set("ticket", "ann", 10_000);
        const takers = await Promise.all(Array.from({ length: 100 }, () => backend.take("ticket")));
        expect(takers.filter((value) => value !== undefined)).toEqual(["ann"]);
        expect(await backend.get("ticket")).toBeUndefined();
        await backend.set("ticket", "bob", 10_000);
        expect(await backend.take("ticket")).toBe("bob");
      }, []),
    );
    it(
      "take any text as value and up to 1,000 bytes as key, and survive what the log survives",
      run(async (test) => {
        const odd = ["__proto__", "", "\u{1F600}", "k".repeat(1_000)];
        await Promise.all(odd.map((key) => test.backend.set(key, `${key}\u0000value`, 10_000)));
        await test.backend.set("taken", "x", 10_000);
        await test.backend.take("taken");
        const backend = test.reopen === undefined ? test.backend : await test.reopen();
        for (const key of odd) expect(await backend.get(key)).toBe(`${key}\u0000value`);
        expect(await backend.get("taken")).toBeUndefined();
      }, []),
    );
    it(
      "refuse a key over 1,000 bytes",
      run(async ({ backend }) => {
        const long = "é".repeat(501);
        const calls = [() => backend.set(long, "v", 1_000), async () => backend.get(long), () => backend.take(long)];
        for (const call of calls) await expect(call()).rejects.toThrow(RangeError);
      }, []),
    );
  });
}

export function naming({ describe, it, expect }: SuiteTools, run: Run): void {
  describe("names", () => {
    it(
      "of any kind are plain names",
      run(async (test) => {
        const names = [
          "__proto__",
          "constructor",
          "toString",
          "\u{1F600}",
          "é".repeat(127) + "e",
          "n".repeat(255),
          "n".repeat(254),
        ];
        names.push("a", "a/b", "a/", "@ann", "0", "ÿ");
        await Promise.all(names.map((each) => test.backend.append(roomOf(each), entryOf(`in ${each}`), keyOf(each))));
        const backend = test.reopen === undefined ? test.backend : await test.reopen();
        for (const each of names) {
          expect(bodies(await backend.read(roomOf(each), 0, 10))).toEqual([`in ${each}`]);
          expect(await backend.find(roomOf(each), keyOf(each))).toMatchObject({ fingerprint: "f" });
        }
        expect(({} as Record<string, unknown>)["fingerprint"]).toBeUndefined();
      }),
    );
  });
}

export function closing({ describe, it, expect }: SuiteTools, run: Run): void {
  describe("closing", () => {
    it(
      "waits for what was appended",
      run(async (test) => {
        await test.backend.check();
        const appends = numbers(1, 50).map((i) => test.backend.append(roomOf("closing"), entryOf(String(i))));
        const settled = Promise.allSettled(appends);
        if (test.reopen === undefined) await test.backend.close();
        const backend = await test.reopen?.();
        expect((await settled).every(({ status }) => status === "fulfilled")).toBe(true);
        if (backend !== undefined) expect(await backend.read(roomOf("closing"), 0, 100)).toHaveLength(50);
      }),
    );
    it(
      "leaves a backend that answers with BackendUnavailable",
      run(async ({ backend }) => {
        await backend.close();
        const room = roomOf("closed");
        const listener: RoomListener = { appended: () => undefined, relayed: () => undefined };
        const ofLog = [
          () => backend.append(room, entryOf("a")),
          () => backend.state(room),
          () => backend.read(room, 0, 1),
          () => backend.readBack(room, undefined, 1),
          () => backend.find(room, keyOf("k")),
        ];
        const calls = [
          ...(backend.promises.log ? ofLog : []),
          () => backend.subscribe(room, listener),
          () => backend.relay(room, "text"),
          () => backend.set("k", "v", 1_000),
          async () => backend.get("k"),
          () => backend.take("k"),
          () => backend.check(),
        ];
        for (const call of calls) await expect(call()).rejects.toMatchObject({ name: "BackendUnavailable" });
      }, []),
    );
  });
}
