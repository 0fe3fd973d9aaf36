import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Turn, type Flushable } from "../../src/server/turn.ts";

/** Flushes that take as long as a test says, by the clock that it also turns. */
class Work {
  nowMs = 0;
  readonly flushedAt: number[] = [];
  readonly turn = new Turn(() => this.nowMs);

  taking(ms: number): Flushable {
    return {
      flush: () => {
        this.flushedAt.push(this.nowMs);
        this.nowMs += ms;
      },
    };
  }
}

describe("a turn", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setImmediate", "setTimeout", "clearImmediate", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  it("flushes broadcasts before outboxes, in the order they came, once", () => {
    const turn = new Turn(() => 0);
    const order: string[] = [];
    const named = (name: string): Flushable => ({ flush: () => order.push(name) });
    turn.addOutbox(named("outbox 1"));
    turn.addBroadcast(named("broadcast 1"));
    turn.addOutbox(named("outbox 2"));
    turn.addBroadcast(named("broadcast 2"));
    expect(order).toEqual([]);
    vi.runAllTimers();
    expect(order).toEqual(["broadcast 1", "broadcast 2", "outbox 1", "outbox 2"]);
  });

  it("flushes in the same turn the outboxes that a broadcast fills", () => {
    const turn = new Turn(() => 0);
    const order: string[] = [];
    turn.addBroadcast({ flush: () => turn.addOutbox({ flush: () => order.push("outbox") }) });
    vi.advanceTimersToNextTimer();
    expect(order).toEqual(["outbox"]);
  });

  it("flushes later what became ready while outboxes were flushed", () => {
    const turn = new Turn(() => 0);
    const order: string[] = [];
    turn.addOutbox({ flush: () => turn.addBroadcast({ flush: () => order.push("second") }) });
    vi.advanceTimersToNextTimer();
    expect(order).toEqual([]);
    vi.advanceTimersToNextTimer();
    expect(order).toEqual(["second"]);
  });

  it("asks for nothing while there is nothing to do", () => {
    const turn = new Turn(() => 0);
    turn.addOutbox({ flush: () => undefined });
    vi.runAllTimers();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the rest after a flush", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setImmediate", "setTimeout", "clearImmediate", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  /** Milliseconds of fake time until the second flush, where the first took so long. */
  function waited(tookMs: number): number {
    const work = new Work();
    work.turn.addOutbox(work.taking(tookMs));
    vi.runAllTimers();
    work.turn.addOutbox(work.taking(0));
    let ms = 0;
    for (; work.flushedAt.length < 2 && ms < 1_000; ms++) vi.advanceTimersByTime(ms === 0 ? 0 : 1);
    return ms - 1;
  }

  it("is none on an idle server", () => {
    expect(waited(0.1)).toBe(0);
  });

  it("grows with what the flush took", () => {
    const [short, long] = [waited(2), waited(6)];
    expect(short).toBeGreaterThan(0);
    expect(long).toBeGreaterThan(short);
  });

  it("is never longer than 20 ms, so that no message waits longer for company", () => {
    expect(waited(500)).toBeLessThanOrEqual(20);
  });

  it("is over for one who comes after it", () => {
    const work = new Work();
    work.turn.addOutbox(work.taking(10));
    vi.runAllTimers();
    work.nowMs += 25;
    work.turn.addOutbox(work.taking(0));
    vi.advanceTimersByTime(0);
    expect(work.flushedAt).toHaveLength(2);
  });
});
