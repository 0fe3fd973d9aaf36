import type { Run, SuiteTools } from "./bench.ts";
import { entryOf, keptOffset, keyOf, roomOf, type Recorder } from "./tools.ts";

/** Subscriptions and what is relayed. */
export function listening({ describe, it, expect }: SuiteTools, run: Run): void {
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
          await seen.sync();
          const missed = await backend.read(room, 0, 1_000);
          expect(seen.entries).toEqual(missed.filter(({ offset }) => offset > seen.state.head));
        }
      }),
    );
    it(
      "have heard of a message by the next sync, and can read it",
      run(async ({ backend, listen }) => {
        const seen = await listen(room);
        const offset = keptOffset(await backend.append(room, { ...entryOf("a"), except: "c" }));
        expect(await seen.sync()).toMatchObject({ head: offset });
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
        await seen.sync();
        seen.close();
        await backend.append(room, entryOf("c"));
        // The room has other listeners, who are told: so it would be told too, were it still there.
        const other = await listen(room);
        await backend.append(room, entryOf("d"));
        await other.sync();
        expect([other.bodies(), seen.bodies()]).toEqual([["d"], ["a"]]);
      }),
    );
    it(
      "end once, however often they are closed, and the others go on",
      run(async ({ listen, backend }) => {
        const [one, other] = [await listen(room), await listen(room)];
        one.close();
        one.close();
        await backend.append(room, entryOf("a"));
        await other.sync();
        expect([one.bodies(), other.bodies()]).toEqual([[], ["a"]]);
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
        await seen.sync();
        await answer;
        await seen.sync();
        expect(seen.entries).toEqual(await backend.read(room, 0, 10));
        expect(seen.bodies().sort()).toEqual(["a", "answer", "b"]);
      }),
    );
    it(
      "carry relayed texts in the order of the calls, and keep none",
      run(async ({ backend, listen }) => {
        const seen = await Promise.all([listen(room), listen(room), listen(roomOf("another"))]);
        void backend.relay(roomOf("nobody listens"), "lost");
        for (const text of ["1", "2", "3"]) void backend.relay(room, text);
        await seen[0].relayedCount(3);
        await seen[1].relayedCount(3);
        expect(seen.map(({ relayed }) => relayed)).toEqual([["1", "2", "3"], ["1", "2", "3"], []]);
        if (backend.promises.log) expect(await backend.read(room, 0, 10)).toEqual([]);
      }, []),
    );
  });
}
