import { describe, expect, it } from "vitest";
import type { LogState } from "../../src/backends/backend.ts";
import { planStart, startUnkept, type Wanted } from "../../src/server/start.ts";
import { HookedBackend } from "./support/backend.ts";
import { unavailable } from "./support/core.ts";

const minuteMs = 60_000;
const ref = { name: "r", keep: { messages: 10, ms: 60 * minuteMs } };
/** Messages 1 to 15, one a minute, the newest now; the log keeps 6 to 15. */
const head = 15;
const trimmed = 5;
const nowMs = 1_750_000_000_000;

async function filled(): Promise<{ backend: HookedBackend; state: LogState }> {
  const backend = new HookedBackend();
  await backend.open({ now: () => nowMs, log: () => undefined });
  for (let i = 1; i <= head; i++) {
    await backend.append(ref, { body: `"event":"e"`, at: nowMs - (head - i) * minuteMs, except: undefined });
  }
  const state = await backend.state(ref);
  expect(state).toMatchObject({ head, trimmed });
  return { backend, state };
}

function openIn(backend: HookedBackend, { epoch }: LogState): Parameters<typeof planStart>[1] {
  return { ref, epoch, sync: () => backend.state(ref) };
}

interface Case {
  readonly since?: number;
  readonly epoch?: string;
  readonly history?: number;
  readonly mayReadHistory?: boolean;
}

async function plan({ since, epoch, history, mayReadHistory = true }: Case) {
  const { backend, state } = await filled();
  const wanted: Wanted = {
    since: since === undefined ? undefined : { epoch: epoch ?? state.epoch, offset: since },
    history,
    mayReadHistory,
    nowMs,
  };
  return planStart(backend, openIn(backend, state), wanted);
}

const fromNow = { from: undefined, replay: 0 };

describe("where a stream begins", () => {
  it.each<[string, Case, object]>([
    ["with nothing asked: from now on", {}, { ...fromNow, recovered: undefined }],
    ["since the head: nothing was missed", { since: 15 }, { from: 15, replay: 0, recovered: true }],
    ["since a message: all after it", { since: 9 }, { from: 9, replay: 6, recovered: true }],
    ["since the newest that was trimmed: all that is kept", { since: 5 }, { from: 5, replay: 10, recovered: true }],
    ["since one before: lost", { since: 4 }, { ...fromNow, recovered: false }],
    ["since the beginning: lost", { since: 0 }, { ...fromNow, recovered: false }],
    ["since an offset ahead of the head: lost", { since: 16 }, { ...fromNow, recovered: false }],
    ["since another epoch: lost", { since: 9, epoch: "other" }, { ...fromNow, recovered: false }],
    ["with history: the newest so many", { history: 3 }, { from: 12, replay: 3, recovered: undefined }],
    ["with more history than is kept: all of it", { history: 500 }, { from: 5, replay: 10, recovered: undefined }],
    ["with both, recovered: since alone", { since: 14, history: 5 }, { from: 14, replay: 1, recovered: true }],
    ["with both, lost: history", { since: 1, history: 5 }, { from: 10, replay: 5, recovered: false }],
    ["with history of none", { history: 0 }, { ...fromNow, recovered: undefined }],
  ])("%s", async (_, given, expected) => {
    expect(await plan(given)).toMatchObject(expected);
  });

  it.each<[string, Case, object]>([
    ["under five minutes back", { since: 10 }, { from: 10, replay: 5, recovered: true }],
    ["whose next message is five minutes old", { since: 9 }, { from: 9, replay: 6, recovered: true }],
    ["over five minutes back: lost", { since: 8 }, { ...fromNow, recovered: false }],
    ["the head, however old it is", { since: 15 }, { from: 15, replay: 0, recovered: true }],
  ])("without the right `history`, since %s (P-23)", async (_, given, expected) => {
    expect(await plan({ ...given, mayReadHistory: false })).toMatchObject(expected);
  });

  it("in an empty log is its beginning", async () => {
    const backend = new HookedBackend();
    await backend.open({ now: () => nowMs, log: () => undefined });
    const state = await backend.state(ref);
    const { epoch } = state;
    const wanted = { since: { epoch, offset: 0 }, history: 10, mayReadHistory: true, nowMs };
    expect(await planStart(backend, openIn(backend, state), wanted)).toEqual({
      epoch,
      from: 0,
      replay: 0,
      recovered: true,
    });
    expect(await planStart(backend, openIn(backend, state), { ...wanted, since: undefined })).toEqual({
      ...fromNow,
      epoch,
      recovered: undefined,
    });
  });

  it("is never `recovered: false` where the log cannot be read: that rejects (P-22)", async () => {
    const { backend, state } = await filled();
    backend.hook = () => {
      throw unavailable();
    };
    const wanted = { since: { epoch: "other", offset: 1 }, history: undefined, mayReadHistory: true, nowMs };
    await expect(planStart(backend, openIn(backend, state), wanted)).rejects.toThrow("a test said so");
  });

  it("in a room without a log is now, and nothing is recovered", () => {
    const wanted = { since: undefined, history: 5, mayReadHistory: true, nowMs };
    expect(startUnkept(wanted)).toMatchObject({ ...fromNow, recovered: undefined });
    expect(startUnkept({ ...wanted, since: { epoch: "e", offset: 1 } })).toMatchObject({
      ...fromNow,
      recovered: false,
    });
  });
});
