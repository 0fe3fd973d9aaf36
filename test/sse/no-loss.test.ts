import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runNoLoss } from "../support/no-loss/run.ts";

const short = { seconds: 5, perS: 1_000, members: 30, cutsPerMember: 3, seed: 20_260_102, sse: true };

describe("30 listeners over SSE, cut off at random moments while 1,000 messages a second come", () => {
  let folder = "";
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "fanfare-no-loss-sse-"))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("see every message once and in order, by the id of the last event alone", { timeout: 60_000 }, async () => {
    const report = await runNoLoss({ ...short, backend: "memory", kills: 0 });
    expect(report.faults).toEqual([]);
    expect(report).toMatchObject({ published: 5_000, deliveries: 150_000, faultCount: 0 });
    expect(report.resumes).toBeGreaterThanOrEqual(40);
  });

  it("also when the server is killed and started again", { timeout: 60_000 }, async () => {
    const report = await runNoLoss({ ...short, backend: `lmdb:${folder}`, kills: 1 });
    expect(report.faults).toEqual([]);
    expect(report).toMatchObject({ published: 5_000, deliveries: 150_000, faultCount: 0, kills: 1 });
    expect(report.resumes).toBeGreaterThanOrEqual(40);
  });
});
