import { describe, expect, it } from "vitest";
import type { Backend, LogState } from "../../src/backends/backend.ts";
import { readPage } from "../../src/server/history.ts";

const ref = { name: "r", keep: { messages: 10, ms: 60_000 } };

describe("a page of history", () => {
  it("is of one life of the log: where that was lost while it was read, of the next one", async () => {
    const old = { epoch: "old", head: 5, trimmed: 0 };
    const next = { epoch: "next", head: 0, trimmed: 0 };
    const states: LogState[] = [old];
    const backend = { state: async () => states.shift() ?? next, readBack: async () => [] } as unknown as Backend;
    const page = await readPage(backend, ref, { before: undefined, limit: 10 });
    expect(page).toBe(`"messages":[],"cursor":"next:0","more":false`);
  });
});
