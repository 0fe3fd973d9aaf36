import { afterEach, describe, expect, it, vi } from "vitest";
import { memory } from "../../src/backends/memory/index.ts";
import { entryOf, roomOf, TestClock } from "../../src/testing/backend/tools.ts";
import { backendSuite, type SuiteSubject } from "../../src/testing/index.ts";

const make = (): Promise<SuiteSubject> => Promise.resolve({ backend: memory(), destroy: () => Promise.resolve() });
backendSuite("the memory backend", make, { describe, it, expect });

describe("memory alone", () => {
  afterEach(() => vi.useRealTimers());

  it("says in one sentence what it does not promise", async () => {
    const said: string[] = [];
    const backend = memory();
    await backend.open({ now: Date.now, log: (level, message) => void said.push(`${level}: ${message}`) });
    await backend.close();
    expect(said).toEqual([expect.stringMatching(/^info: .*lost when this process ends/)]);
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers();
    const backend = memory();
    await backend.open({ now: Date.now, log: () => undefined });
    expect(vi.getTimerCount()).toBe(1);
    await backend.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("forgets rooms and facts that nobody asks for", async () => {
    vi.useFakeTimers();
    const clock = new TestClock();
    const backend = memory();
    await backend.open({ now: () => clock.now, log: () => undefined });
    const room = roomOf("r", { messages: 10, ms: 1_000 });
    const { epoch } = await backend.state(room);
    await backend.append(room, entryOf("a", clock.now));
    clock.now += 3_600_000;
    vi.advanceTimersByTime(5_000);
    // The clock goes back: a room that was only hidden would be there again, with its old epoch.
    clock.now -= 3_600_000;
    expect((await backend.state(room)).epoch).not.toBe(epoch);
    await backend.close();
  });
});
