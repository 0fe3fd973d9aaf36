import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { check } from "./check/index.ts";
import type { FaultName } from "./faults/schedule.ts";
import { buggyClient, type ClientBug } from "./planted/client.ts";
import { planted, unheeding, unrevoking, type FrameBug } from "./planted/frames.ts";
import { torture, type TortureOptions } from "./run.ts";
import { summarise } from "./summary.ts";
import { showViolations } from "./witness.ts";

const seed = 7;
const buggy = fileURLToPath(new URL("planted/backend.config.mjs", import.meta.url));

/** Runs it, and holds it to all invariants. */
async function expectHolds(options: TortureOptions): Promise<ReturnType<typeof summarise>> {
  const records = await torture(options);
  const violations = check(records);
  expect(showViolations(violations)).toBe("");
  return summarise(records);
}

/** A run without faults, but with a bug: the invariants that the checker finds broken. */
async function broken(options: Partial<TortureOptions>): Promise<number[]> {
  const faults: FaultName[] = options.faults === undefined ? [] : [...options.faults];
  const records = await torture({ backend: "memory", seconds: 3, seed, ...options, faults });
  return check(records).map(({ invariant }) => invariant);
}

// One after the other in one file, so that these servers take no more than one core from other tests.
describe("thirty seconds of torture", () => {
  it("leave every invariant whole on lmdb", { timeout: 180_000 }, async () => {
    const summary = await expectHolds({ backend: "lmdb", seconds: 30, seed });
    expect(summary.faults).toBeGreaterThanOrEqual(10);
    expect(summary.resumes).toBeGreaterThanOrEqual(30);
    expect(summary.published).toBeGreaterThan(500);
    expect(summary.resets).toBe(0);
    expect(summary.apps).toMatchObject({ resets: 0 });
    expect(summary.apps.messages).toBeGreaterThan(500);
    expect(summary.apps.published).toBeGreaterThan(50);
  });

  it("leave every invariant whole on three nodes on Redis", { timeout: 180_000 }, async () => {
    const summary = await expectHolds({ backend: "redis", seconds: 30, seed });
    expect(summary.faults).toBeGreaterThanOrEqual(8);
    expect(summary.resumes).toBeGreaterThanOrEqual(30);
    expect(summary.published).toBeGreaterThan(500);
  });
});

describe("a client with a bug", { timeout: 60_000 }, () => {
  it.each<{ bug: ClientBug; what: string; invariant: number }>([
    { bug: "lost", what: "does not give its app every nth message", invariant: 3 },
    { bug: "doubled", what: "gives its app a message twice", invariant: 3 },
    { bug: "swapped", what: "swaps two messages", invariant: 3 },
    { bug: "published-twice", what: "publishes a message twice", invariant: 5 },
    { bug: "given-up", what: "says that a message was refused that is kept", invariant: 5 },
  ])("that $what breaks invariant $invariant", async ({ bug, invariant }) => {
    expect(await broken({ makeClient: buggyClient(bug) })).toContain(invariant);
  });
});

describe("a server with a bug", { timeout: 60_000 }, () => {
  it.each<{ bug: FrameBug; what: string; invariant: number }>([
    { bug: "lost", what: "leaves out every nth message", invariant: 2 },
    { bug: "swapped", what: "swaps two messages", invariant: 2 },
    { bug: "doubled", what: "sends a message twice", invariant: 2 },
    { bug: "tail", what: "leaves out the last messages", invariant: 9 },
    { bug: "ghost", what: "does not tell who left", invariant: 10 },
  ])("that $what breaks invariant $invariant", async ({ bug, invariant }) => {
    expect(await broken({ mangle: planted(bug) })).toContain(invariant);
  });

  it.each<{ bug: string; what: string; invariant: number }>([
    { bug: "acked", what: "acknowledges what it does not keep", invariant: 4 },
    { bug: "reused", what: "uses offsets again after a flush, in the same epoch", invariant: 1 },
  ])("that $what breaks invariant $invariant", async ({ bug, invariant }) => {
    const serve = { serveArgs: ["--config", buggy], serveEnv: { TORTURE_BUG: bug } };
    expect(await broken(serve)).toContain(invariant);
  });

  it("that lets the revoked in breaks invariant 11", async () => {
    expect(await broken({ mangle: unrevoking, faults: ["revoke"] })).toContain(11);
  });

  it("that goes on delivering to the revoked breaks invariant 11", async () => {
    expect(await broken({ mangle: unheeding, faults: ["revoke"] })).toContain(11);
  });

  it("is what these runs find: without a bug, they find nothing", async () => {
    expect(await broken({ serveArgs: ["--config", buggy], faults: ["revoke"] })).toEqual([]);
  });
});
