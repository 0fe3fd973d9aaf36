import type { Backend, RoomRef } from "../../backends/backend.ts";
import type { Bench, Need, Run, SuiteTools, TestContext } from "./bench.ts";
import { bodies, entryOf, keptOffset, keyOf, numbers, type Recorder, recorder, roomOf } from "./tools.ts";

/** Two nodes on one engine. */
export function several({ describe, it, expect }: SuiteTools, run: Run): void {
  const room = roomOf("several");
  const together = (
    body: (both: readonly [Backend, Backend], bench: Bench) => Promise<void>,
    needs: readonly Need[] = ["log"],
  ): ((test: TestContext) => Promise<void>) =>
    run(
      async (bench) => {
        const { backend, second } = bench;
        if (second === undefined) throw new Error("a backend that is shared gives the suite a second node");
        await body([backend, second], bench);
      },
      [...needs, "nodes"],
    );

  describe("several nodes", () => {
    it(
      "number together what they append at once, and tell all of it in one order",
      together(async (both) => {
        const seen = await Promise.all(both.map((node) => recorder(node, room)));
        const appends = numbers(0, 399).map((i) => (both[i % 2] ?? both[0]).append(room, entryOf(`m${i}`)));
        const offsets = (await Promise.all(appends)).map(keptOffset);
        expect(new Set(offsets).size).toBe(400);
        for (const own of [0, 1]) {
          const mine = offsets.filter((_, i) => i % 2 === own);
          expect(mine).toEqual(mine.toSorted((a, b) => a - b));
        }
        const log = await both[0].read(room, 0, 1_000);
        expect(log).toHaveLength(400);
        for (const each of seen) {
          await each.sync();
          expect(each.entries).toEqual(log);
        }
      }),
    );
    it(
      "have heard by sync what another one was told that it is kept",
      together(async ([one, two]) => {
        const seen = await recorder(two, room);
        for (const body of ["a", "b", "c"]) {
          const offset = keptOffset(await one.append(room, { ...entryOf(body), except: "c1" }));
          expect((await seen.sync()).head).toBe(offset);
          expect(seen.entries.at(-1)).toMatchObject({ offset, body, except: "c1" });
        }
        expect(seen.bodies()).toEqual(["a", "b", "c"]);
      }),
    );
    it(
      "agree on epochs, heads, what is kept, and keys",
      together(async ([one, two]) => {
        const first = await one.append(room, entryOf("a"), keyOf("k"));
        expect(await two.append(room, entryOf("a"), keyOf("k"))).toMatchObject({ ...first, kind: "duplicate" });
        expect(await two.append(room, entryOf("b"), keyOf("k", "g"))).toEqual({ kind: "conflict" });
        expect(await two.find(room, keyOf("k"))).toEqual(await one.find(room, keyOf("k")));
        expect(await two.state(room)).toEqual(await one.state(room));
        expect(bodies(await two.read(room, 0, 10))).toEqual(["a"]);
        const empty = roomOf("several/empty");
        const [a, b] = await Promise.all([one.state(empty), two.state(empty)]);
        expect(a).toEqual(b);
      }),
    );
    it(
      "settle a key that comes to both at once",
      together(async (both) => {
        const kinds = await Promise.all(
          numbers(0, 19).map(async (i) => (await (both[i % 2] ?? both[0]).append(room, entryOf("a"), keyOf("k"))).kind),
        );
        expect(kinds.filter((kind) => kind === "kept")).toHaveLength(1);
        expect(kinds.filter((kind) => kind === "duplicate")).toHaveLength(19);
      }),
    );
    it(
      "relay to all, in the order of each one's calls",
      together(async ([one, two]) => {
        const seen = await Promise.all([recorder(one, room), recorder(two, room)]);
        await heard(one, room, seen);
        const texts = numbers(1, 50).map(String);
        const before = seen.map(({ relayed }) => relayed.length);
        for (const text of texts) void one.relay(room, text);
        await Promise.all(seen.map((each, i) => each.relayedCount((before[i] ?? 0) + 50)));
        expect(seen.map(({ relayed }) => relayed.filter((text) => text !== call))).toEqual([texts, texts]);
      }, []),
    );
    it(
      "relay in rooms that keep nothing",
      together(async ([one, two]) => {
        const signals = roomOf("several/signals", { messages: 0, ms: 0 });
        const seen = await recorder(two, signals);
        await heard(one, signals, [seen]);
        const before = seen.relayed.length;
        await one.relay(signals, "hello");
        await one.relay(signals, "and goodbye");
        await seen.relayedCount(before + 2);
        expect(seen.relayed.filter((text) => text !== call)).toEqual(["hello", "and goodbye"]);
        expect(seen.entries).toEqual([]);
      }, []),
    );
    it(
      "know of each other where they are subscribed",
      together(async ([one, two]) => {
        const alone = await recorder(one, room);
        const before = await alone.others();
        const other = await recorder(two, room);
        await recorder(two, room);
        // An engine may know of none, and of some without their number.
        expect([0, undefined]).toContain(before);
        for (const each of [alone, other]) expect([1, undefined]).toContain(await each.others());
      }, []),
    );
    it(
      "share facts, and give each to one taker alone",
      together(async (both) => {
        await both[0].set("ticket", "ann", 10_000);
        expect(await both[1].get("ticket")).toBe("ann");
        const takers = await Promise.all(numbers(0, 49).map((i) => (both[i % 2] ?? both[0]).take("ticket")));
        expect(takers.filter((value) => value !== undefined)).toEqual(["ann"]);
        expect(await both[0].get("ticket")).toBeUndefined();
      }, []),
    );
  });
}

const call = "is anybody there?";

/**
 * Relays until all have heard something: an engine of several servers may learn a moment later which of them has a
 * listener, and a text that comes before is lost, as texts may be.
 */
async function heard(node: Backend, room: RoomRef, seen: readonly Recorder[]): Promise<void> {
  while (seen.some(({ relayed }) => relayed.length === 0)) {
    await node.relay(room, call);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
