import type { describe, expect, it } from "vitest";
import type { Backend, LogEntry, RoomListener, RoomRef } from "../backends/backend.ts";
import { bodies, entryOf, keptOffset, keyOf, numbers, recorder, roomOf, TestClock, type Recorder } from "./backend-tools.ts";

/** The parts of vitest that the suite uses; handed in, so that this package needs no test runner of its own. */
export interface SuiteTools {
  readonly describe: typeof describe;
  readonly it: typeof it;
  readonly expect: typeof expect;
}

/** One backend to test, not opened yet. The suite opens and closes it. */
export interface SuiteSubject {
  readonly backend: Backend;
  /** A new one, not opened yet, on the same storage. Called after the earlier one was closed. Absent: nothing survives. */
  readonly reopen?: () => Promise<Backend>;
  /** Removes what is left, after everything was closed. */
  destroy(): Promise<void>;
}

/** Everything that the contract in `backend.ts` promises, in sentences. Run it in a test file of the backend. */
export function backendSuite(name: string, make: () => Promise<SuiteSubject>, vitest: SuiteTools): void {
  const run = (body: (test: Bench) => Promise<void>) => (): Promise<void> => withBench(make, body);
  vitest.describe(name, () => {
    for (const part of [numbering, keys, reading, trimming, listening, facts, naming, closing]) part(vitest, run);
  });
}

/** What one test works with: an opened backend on a clock that the test turns. */
interface Bench {
  readonly clock: TestClock;
  readonly backend: Backend;
  /** Closes the backend and opens it again; undefined where nothing survives that. */
  readonly reopen: (() => Promise<Backend>) | undefined;
  listen(room: RoomRef): Promise<Recorder>;
}

type Run = (body: (test: Bench) => Promise<void>) => () => Promise<void>;

async function withBench(make: () => Promise<SuiteSubject>, body: (test: Bench) => Promise<void>): Promise<void> {
  const subject = await make();
  const clock = new TestClock();
  const context = { now: () => clock.now, log: () => undefined };
  let backend = subject.backend;
  const { reopen } = subject;
  try {
    await backend.open(context);
    await body({
      clock,
      get backend() {
        return backend;
      },
      reopen:
        reopen &&
        (async () => {
          await backend.close();
          backend = await reopen();
          await backend.open(context);
          return backend;
        }),
      listen: (room) => recorder(backend, room),
    });
  } finally {
    await backend.close();
    await subject.destroy();
  }
}

function numbering({ describe, it, expect }: SuiteTools, run: Run): void {
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
        await Promise.all(rooms.flatMap((each) => [1, 2, 3].map((n) => backend.append(each, entryOf(`${each.name}-${n}`)))));
        for (const each of rooms) {
          expect(bodies(await backend.read(each, 0, 10))).toEqual([1, 2, 3].map((n) => `${each.name}-${n}`));
        }
        const epochs = await Promise.all(rooms.map(async (each) => (await backend.state(each)).epoch));
        expect(new Set(epochs).size).toBe(rooms.length);
      }),
    );
    it(
      "goes on after it was opened again: epoch, head and messages are as they were",
      run(async (test) => {
        if (test.reopen === undefined) {
          expect(test.backend.promises.survives).toBe("nothing");
          return;
        }
        expect(test.backend.promises.survives).not.toBe("nothing");
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
      }),
    );
  });
}

function keys({ describe, it, expect }: SuiteTools, run: Run): void {
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
        clock.now += 299_999;
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

function reading({ describe, it, expect }: SuiteTools, run: Run): void {
  const room = roomOf("reading");
  describe("reading", () => {
    it(
      "gives what was appended, byte for byte",
      run(async ({ backend }) => {
        const text = '"event":"e","data":"\u{1F600} \u0000 \\ud800 ' + "x".repeat(70_000) + '","at":1';
        const offset = keptOffset(await backend.append(room, { body: text, at: 1, except: undefined }));
        await backend.append(room, { body: "b", at: 2, except: "connection-1" });
        const [first, second] = await backend.read({ ...room, keep: { messages: 10, ms: 1e15 } }, 0, 10);
        expect(first).toEqual({ offset, body: text, at: 1 });
        expect(second).toMatchObject({ body: "b", at: 2, except: "connection-1" });
      }),
    );
    it(
      "goes through a long log in pages, forwards and backwards",
      run(async ({ backend, clock }) => {
        const all = numbers(1, 2_345).map(String);
        await Promise.all(all.map((body) => backend.append(room, entryOf(body, clock.now))));
        const forwards: LogEntry[] = [];
        for (let page = await backend.read(room, 0, 500); page.length > 0; ) {
          expect(page.length).toBeLessThanOrEqual(500);
          forwards.push(...page);
          page = await backend.read(room, forwards.at(-1)!.offset, 500);
        }
        expect(bodies(forwards)).toEqual(all);
        const backwards: LogEntry[] = [];
        for (let page = await backend.readBack(room, undefined, 500); page.length > 0; ) {
          backwards.unshift(...page);
          page = await backend.readBack(room, backwards[0]!.offset, 500);
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
  });
}

function trimming({ describe, it, expect }: SuiteTools, run: Run): void {
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
        expect(state).toMatchObject({ head: entries.at(-1)!.offset });
        expect(state.trimmed).toBeLessThan(entries[0]!.offset);
        expect(state.trimmed).toBeGreaterThan(0);
        expect(bodies(await backend.readBack(room, entries[3]!.offset, 100))).toEqual(all.slice(-10, -7));
        expect(await backend.readBack(room, entries[0]!.offset, 100)).toEqual([]);
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
        expect(state.trimmed).toBeLessThan((await backend.read(room, 0, 1))[0]!.offset);
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
        expect(seen.bodies()).toEqual(["a", "b"]);
      }),
    );
  });
}

function listening({ describe, it, expect }: SuiteTools, run: Run): void {
  const room = roomOf("listening");
  describe("subscriptions", () => {
    it(
      "begin right after the state that they were given, under load too",
      run(async ({ backend, listen }) => {
        const appends: Promise<unknown>[] = [];
        const listeners: Promise<Recorder>[] = [];
        for (let i = 0; i < 300; i++) {
          appends.push(backend.append(room, entryOf(`m${i}`)));
          if (i % 20 === 10) listeners.push(listen(room));
          if (i % 50 === 0) await appends.at(-1);
        }
        await Promise.all(appends);
        for (const seen of await Promise.all(listeners)) {
          const missed = await backend.read(room, 0, 1_000);
          expect(seen.entries).toEqual(missed.filter(({ offset }) => offset > seen.state.head));
        }
      }),
    );
    it(
      "hear of a message before its append resolves, and can read it",
      run(async ({ backend, listen }) => {
        const seen = await listen(room);
        const offset = keptOffset(await backend.append(room, { ...entryOf("a"), except: "c" }));
        expect(seen.entries).toEqual([expect.objectContaining({ offset, body: "a", except: "c" })]);
        expect(await backend.read(room, seen.state.head, 10)).toEqual(seen.entries);
      }),
    );
    it(
      "are not told of duplicates, of other rooms, nor of anything once closed",
      run(async ({ backend, listen }) => {
        const seen = await listen(room);
        await backend.append(room, entryOf("a"), keyOf("k"));
        await backend.append(room, entryOf("a"), keyOf("k"));
        await backend.append(roomOf("another"), entryOf("b"));
        seen.close();
        await backend.append(room, entryOf("c"));
        expect(seen.bodies()).toEqual(["a"]);
      }),
    );
    it(
      "get every message in order, whatever a listener does",
      run(async ({ backend, listen }) => {
        let answer: Promise<unknown> | undefined;
        await backend.subscribe(room, {
          appended: ({ body }) => {
            if (body === "a") answer = backend.append(room, entryOf("answer"));
            throw new Error("a listener's own fault");
          },
          relayed: () => undefined,
        });
        const seen = await listen(room);
        await Promise.all(["a", "b"].map((body) => backend.append(room, entryOf(body))));
        await answer;
        expect(seen.entries).toEqual(await backend.read(room, 0, 10));
        expect(seen.bodies().sort()).toEqual(["a", "answer", "b"]);
      }),
    );
    it(
      "carry relayed texts in the order of the calls, and keep none",
      run(async ({ backend, listen }) => {
        const seen = await Promise.all([listen(room), listen(room), listen(roomOf("another"))]);
        backend.relay(roomOf("nobody listens"), "lost");
        for (const text of ["1", "2", "3"]) backend.relay(room, text);
        await seen[0]!.relayedCount(3);
        await seen[1]!.relayedCount(3);
        expect(seen.map(({ relayed }) => relayed)).toEqual([["1", "2", "3"], ["1", "2", "3"], []]);
        expect(await backend.read(room, 0, 10)).toEqual([]);
      }),
    );
  });
}

function facts({ describe, it, expect }: SuiteTools, run: Run): void {
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
      }),
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
      }),
    );
    it(
      "take any text as key and value, and survive what the log survives",
      run(async (test) => {
        const odd = ["__proto__", "", "\u{1F600}", "k".repeat(3_000)];
        await Promise.all(odd.map((key) => test.backend.set(key, `${key}\u0000value`, 10_000)));
        await test.backend.set("taken", "x", 10_000);
        await test.backend.take("taken");
        const backend = test.reopen === undefined ? test.backend : await test.reopen();
        for (const key of odd) expect(await backend.get(key)).toBe(`${key}\u0000value`);
        expect(await backend.get("taken")).toBeUndefined();
      }),
    );
  });
}

function naming({ describe, it, expect }: SuiteTools, run: Run): void {
  describe("names", () => {
    it(
      "of any kind are plain names",
      run(async (test) => {
        const names = ["__proto__", "constructor", "toString", "\u{1F600}", "é".repeat(127) + "e", "n".repeat(255), "n".repeat(254)];
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

function closing({ describe, it, expect }: SuiteTools, run: Run): void {
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
        const calls = [
          () => backend.append(room, entryOf("a")),
          () => backend.state(room),
          () => backend.read(room, 0, 1),
          () => backend.readBack(room, undefined, 1),
          () => backend.find(room, keyOf("k")),
          () => backend.subscribe(room, listener),
          () => backend.set("k", "v", 1_000),
          () => backend.get("k"),
          () => backend.take("k"),
          () => backend.check(),
        ];
        for (const call of calls) await expect(call()).rejects.toMatchObject({ name: "BackendUnavailable" });
      }),
    );
  });
}
