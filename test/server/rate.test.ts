import { describe, expect, it } from "vitest";
import type { ClientFrame } from "../../src/protocol/frames.ts";
import { parseClientFrame } from "../../src/protocol/parse.ts";
import { Rate, type Verdict } from "../../src/server/rate.ts";

function frame(fields: object): ClientFrame {
  const parsed = parseClientFrame(JSON.stringify(fields));
  if (!parsed.ok) throw new Error(`no frame: ${parsed.refusal.message}`);
  return parsed.frame;
}

const ping = frame({ type: "ping" });
const pong = frame({ type: "pong" });
const join = frame({ type: "join", room: "r" });
const publish = frame({ type: "publish", room: "r", event: "e" });
const history = frame({ type: "history", id: "h", room: "r", limit: 1 });

/** How many of so many frames pass at one moment. */
function passing(rate: Rate, kind: ClientFrame | undefined, count: number, now: number): number {
  return Array.from({ length: count }, () => rate.take(kind, now)).filter(({ kind: k }) => k === "pass").length;
}

function retryAfter(verdict: Verdict): number {
  if (verdict.kind !== "refuse") throw new Error(`expected a refusal, got ${verdict.kind}`);
  return verdict.retryAfterMs;
}

describe("the rate of requests (P-63)", () => {
  it("lets two seconds' worth pass at once", () => {
    expect(passing(new Rate(50, 0, 0), ping, 200, 0)).toBe(100);
  });

  it("fills up with time, and never over two seconds' worth", () => {
    const rate = new Rate(50, 0, 0);
    passing(rate, ping, 100, 0);
    expect(passing(rate, ping, 200, 500)).toBe(25);
    expect(passing(rate, ping, 200, 60_000)).toBe(100);
  });

  it("counts what cannot be read, and no pong", () => {
    const rate = new Rate(50, 0, 0);
    expect(passing(rate, undefined, 100, 0)).toBe(100);
    expect(passing(rate, undefined, 1, 0)).toBe(0);
    expect(passing(rate, pong, 1_000, 0)).toBe(1_000);
  });

  it("counts history as ten", () => {
    expect(passing(new Rate(50, 0, 0), history, 100, 0)).toBe(10);
  });

  it("lets history pass where the whole bucket holds less than ten", () => {
    expect(passing(new Rate(1, 0, 0), history, 5, 0)).toBe(1);
  });

  it("takes the first joins for nothing, as many as there may be rooms", () => {
    const rate = new Rate(50, 100, 0);
    expect(passing(rate, join, 100, 0)).toBe(100);
    expect(passing(rate, ping, 100, 0)).toBe(100);
    expect(passing(rate, join, 1, 0)).toBe(0);
  });

  it("tells how long to wait: after it, and not before, the request passes", () => {
    const rate = new Rate(50, 0, 0);
    passing(rate, ping, 100, 0);
    const ms = retryAfter(rate.take(history, 0));
    expect(ms).toBe(200);
    expect(rate.take(history, ms - 1).kind).toBe("refuse");
    expect(rate.take(history, ms).kind).toBe("pass");
  });
});

describe("publishes that were refused", () => {
  it("hold back every later one until the time that was told is over, though there is room for it before", () => {
    const rate = new Rate(30, 0, 0);
    passing(rate, publish, 60, 0);
    // A thirtieth of a second is told as 34 ms, and over after 33.4.
    expect(retryAfter(rate.take(publish, 0))).toBe(34);
    expect(rate.take(publish, 33.5).kind).toBe("refuse");
    expect(rate.take(ping, 33.5).kind).toBe("pass");
    expect(retryAfter(rate.take(publish, 34))).toBe(33);
    expect(rate.take(publish, 67).kind).toBe("pass");
  });

  it("hold back no other request", () => {
    const rate = new Rate(2, 0, 0);
    passing(rate, publish, 4, 0);
    const until = retryAfter(rate.take(publish, 0));
    expect(until).toBe(500);
    expect(rate.take(publish, 499).kind).toBe("refuse");
    expect(rate.take(ping, 500).kind).toBe("pass");
  });
});

describe("flooding", () => {
  it("is to go on for 10 s", () => {
    const rate = new Rate(1, 0, 0);
    passing(rate, ping, 2, 0);
    let floodedAt: number | undefined;
    for (let now = 0; now <= 12_000 && floodedAt === undefined; now += 100) {
      if (passing(rate, ping, 1, now) === 0 && rate.take(ping, now).kind === "flooding") floodedAt = now;
    }
    expect(floodedAt).toBeGreaterThanOrEqual(10_000);
    expect(floodedAt).toBeLessThanOrEqual(10_200);
  });

  it("is no pause and another burst", () => {
    const rate = new Rate(1, 0, 0);
    const verdicts: string[] = [];
    for (let now = 0; now < 60_000; now += 3_000) verdicts.push(rate.take(ping, now).kind, rate.take(ping, now).kind);
    for (let now = 60_000; now < 120_000; now += 3_000)
      for (let i = 0; i < 10; i++) verdicts.push(rate.take(ping, now).kind);
    expect(verdicts).toContain("refuse");
    expect(verdicts).not.toContain("flooding");
  });

  it("is a hundred thousand requests at once", () => {
    const rate = new Rate(50, 100, 0);
    let kind: Verdict["kind"] = "pass";
    for (let i = 0; i < 100_000 && kind !== "flooding"; i++) ({ kind } = rate.take(join, 0));
    expect(kind).toBe("flooding");
  });

  it("is known of one who was refused more than a burst's worth", () => {
    const rate = new Rate(50, 0, 0);
    passing(rate, ping, 100, 0);
    expect(rate.isFlooded(0)).toBe(false);
    passing(rate, ping, 101, 0);
    expect([rate.isFlooded(0), rate.isFlooded(2_001)]).toEqual([true, false]);
  });
});
