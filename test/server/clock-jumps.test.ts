import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { lmdb } from "../../src/backends/lmdb/index.ts";
import { memory } from "../../src/backends/memory/index.ts";
import { createHub } from "../../src/server/hub.ts";
import { FakeClock } from "./support/clock.ts";

const directory = mkdtempSync(join(tmpdir(), "fanfare-clock-"));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const hour = 3_600_000;

describe.each<{ name: string; make: () => Backend }>([
  { name: "memory", make: () => memory() },
  { name: "lmdb", make: () => lmdb({ directory }) },
])("a wall clock that jumps, on $name", ({ make }) => {
  it("lets no key of a publish expire (P-31), and time that goes by does", async () => {
    const clock = new FakeClock();
    const hub = createHub({ backend: make() }, { clock });
    await hub.start();
    const publish = async (): Promise<unknown> => hub.room("a").publish("said", "hello", { key: "k" });
    expect(await publish()).toMatchObject({ offset: 1 });
    clock.jump(hour);
    expect(await publish()).toMatchObject({ offset: 1, duplicate: true });
    clock.jump(-2 * hour);
    expect(await publish()).toMatchObject({ offset: 1, duplicate: true });
    clock.advance(hour);
    expect(await publish()).toMatchObject({ offset: 2 });
    await hub.close({ drainMs: 0 });
  });
});
