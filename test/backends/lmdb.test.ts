import { rmSync } from "node:fs";
import { open as openRaw } from "lmdb";
import { describe, expect, it, vi } from "vitest";
import { lmdb } from "../../src/backends/lmdb/index.ts";
import { entryOf, keyOf, numbers, roomOf, TestClock } from "../../src/testing/backend/tools.ts";
import { backendSuite, type SuiteSubject } from "../../src/testing/index.ts";
import { newDirectory, opened, room } from "./fixtures/lmdb.ts";

function make(): Promise<SuiteSubject> {
  const directory = newDirectory();
  return Promise.resolve({
    backend: lmdb({ directory }),
    reopen: () => Promise.resolve(lmdb({ directory })),
    destroy: () => Promise.resolve(rmSync(directory, { recursive: true, force: true })),
  });
}
backendSuite("the lmdb backend", make, { describe, it, expect });

describe("sweeping", () => {
  it("removes what nobody asks for, so that the file does not grow for ever", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const clock = new TestClock();
    const directory = newDirectory();
    const backend = await opened(directory, clock);
    for (const i of numbers(1, 50)) {
      const each = roomOf(`swept/${i}`, { messages: 100, ms: 60_000 });
      await Promise.all(numbers(1, 20).map((n) => backend.append(each, entryOf("x", clock.now), keyOf(`k${n}`))));
      await backend.set(`fact ${i}`, "v", 1_000);
    }
    clock.now += 3_600_000;
    for (let i = 0; i < 20; i++) {
      vi.advanceTimersByTime(1_000);
      await backend.check();
    }
    await backend.close();
    const raw = openRaw<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      overlappingSync: false,
      encoding: "binary",
      keyEncoding: "binary",
    });
    const left = [...raw.getRange({ start: Buffer.of(0) })].map(({ key }) =>
      Buffer.from(key as Uint8Array).toString("latin1"),
    );
    await raw.close();
    expect(left).toEqual(["\u0001check", "\u0001layout", "\u0001nextRoom"]);
  });

  it("spares a key and a fact that are used again while it looks", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const clock = new TestClock();
    const backend = await opened(newDirectory(), clock);
    await backend.append(room, entryOf("a"), keyOf("k"));
    await backend.set("fact", "old", 1_000);
    clock.now += 300_001;
    const again = Promise.all([backend.append(room, entryOf("b"), keyOf("k")), backend.set("fact", "new", 1_000)]);
    await Promise.resolve();
    vi.advanceTimersByTime(1_000);
    await again;
    await backend.check();
    expect(await backend.find(room, keyOf("k"))).toMatchObject({ offset: 2 });
    expect(await backend.get("fact")).toBe("new");
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const backend = await opened(newDirectory());
    expect(vi.getTimerCount()).toBe(1);
    await backend.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
