import { array, assert, constantFrom, integer, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { Allowances } from "../../src/server/allowances.ts";

/** How many of so many are granted at one moment. */
function granted(allowances: Allowances, key: string, count: number, now: number): number {
  return Array.from({ length: count }, () => allowances.take(key, 1, now)).filter((waitMs) => waitMs === 0).length;
}

describe("a bucket", () => {
  it("gives its burst at once, and then what comes in with time", () => {
    const allowances = new Allowances({ perS: 10, burst: 25 });
    expect(granted(allowances, "a", 40, 0)).toBe(25);
    expect(granted(allowances, "a", 40, 1_000)).toBe(10);
    expect(granted(allowances, "a", 40, 1_050)).toBe(0);
    expect(granted(allowances, "a", 40, 100_000)).toBe(25);
  });

  it("is of one key alone", () => {
    const allowances = new Allowances({ perS: 1, burst: 1 });
    expect([granted(allowances, "a", 2, 0), granted(allowances, "b", 2, 0)]).toEqual([1, 1]);
  });

  it("tells how long to wait: after it, and not before, the request is granted", () => {
    const allowances = new Allowances({ perS: 0.5, burst: 3 });
    granted(allowances, "a", 3, 0);
    expect(allowances.take("a", 1, 0)).toBe(2_000);
    expect(allowances.take("a", 1, 1_999)).toBe(1);
    expect(allowances.take("a", 1, 2_000)).toBe(0);
  });

  it("does not round up to a millisecond more than it needs", () => {
    const bucket = new Allowances({ perS: 6, burst: 11 });
    bucket.take("a", 11, 6_359);
    expect(bucket.waitMs("a", 6, 6_359)).toBe(1_000);
  });

  it("takes nothing for what it refuses", () => {
    const allowances = new Allowances({ perS: 1, burst: 5 });
    for (let i = 0; i < 100; i++) allowances.take("a", 5, 0);
    expect(allowances.take("a", 5, 4_999)).toBe(1);
    expect(allowances.take("a", 5, 5_000)).toBe(0);
  });

  it("grants what costs more than it holds, for all that it holds", () => {
    const allowances = new Allowances({ perS: 1, burst: 2 });
    expect([allowances.take("a", 10, 0), allowances.take("a", 10, 0)]).toEqual([0, 2_000]);
  });

  it("takes names such as __proto__ for names", () => {
    const allowances = new Allowances({ perS: 1, burst: 1 });
    expect(granted(allowances, "__proto__", 2, 0)).toBe(1);
    expect(granted(allowances, "constructor", 2, 0)).toBe(1);
  });
});

describe("what cannot be refused any more", () => {
  it("is made up for before anything else is granted", () => {
    const allowances = new Allowances({ perS: 10, burst: 10 });
    for (let i = 0; i < 30; i++) allowances.spend("a", 1, 0);
    expect(allowances.take("a", 1, 0)).toBe(2_100);
    expect(granted(allowances, "a", 5, 2_100)).toBe(1);
  });

  it("shuts nobody out for more than a minute", () => {
    const allowances = new Allowances({ perS: 1, burst: 1 });
    for (let i = 0; i < 1_000; i++) allowances.spend("a", 1, 0);
    allowances.observe("b", 1e300, 0);
    expect([allowances.take("a", 1, 0), allowances.take("b", 1, 0)]).toEqual([61_000, 61_000]);
    expect(granted(allowances, "a", 2, 61_000)).toBe(1);
  });
});

describe("several nodes", () => {
  it("hold to one rate once they have told each other what was spent", () => {
    const nodes = [1, 2, 3].map(() => new Allowances({ perS: 100, burst: 20 }));
    let total = 0;
    for (let now = 0; now < 20_000; now += 50) {
      for (const node of nodes) total += granted(node, "a", 30, now);
      const told = nodes.map((node) => [...node.spent()]);
      for (const [i, node] of nodes.entries()) {
        for (const [key, cost] of told.filter((_, other) => other !== i).flat()) node.observe(key, cost, now);
      }
    }
    // The first burst is had on each node, and each may be ahead by what it has not heard of yet.
    expect(total).toBeGreaterThan(100 * 19);
    expect(total).toBeLessThan(100 * 20 + 3 * 20 + 3 * 30);
  });

  it("are told a sum for each key, each thing once, and not what others told", () => {
    const node = new Allowances({ perS: 10, burst: 100 });
    node.take("before", 1, 0);
    expect([...node.spent()]).toEqual([]);
    node.take("a", 10, 0);
    node.take("a", 1, 0);
    node.spend("b", 2, 0);
    node.observe("c", 5, 0);
    expect([...node.spent()]).toEqual([
      ["a", 11],
      ["b", 2],
    ]);
    expect([...node.spent()]).toEqual([]);
  });

  it("are not told what was refused", () => {
    const node = new Allowances({ perS: 1, burst: 1 });
    expect([...node.spent()]).toEqual([]);
    for (let i = 0; i < 5; i++) node.take("a", 1, 0);
    expect([...node.spent()]).toEqual([["a", 1]]);
  });

  it("are not led astray by what is no cost", () => {
    const node = new Allowances({ perS: 1, burst: 1 });
    for (const cost of [Number.NaN, Infinity, -5, 0]) node.observe("a", cost, 0);
    expect(node.take("a", 1, 0)).toBe(0);
  });
});

describe("memory", () => {
  it("is let go when buckets are full again", () => {
    const allowances = new Allowances({ perS: 10, burst: 10 });
    for (let i = 0; i < 1_000; i++) allowances.take(`key ${i}`, 1, 0);
    expect(allowances.size).toBe(1_000);
    allowances.take("later", 1, 61_000);
    allowances.take("later", 1, 122_000);
    expect(allowances.size).toBeLessThanOrEqual(2);
  });

  it("is bounded, and who keeps on asking is not forgotten at the bound", () => {
    const allowances = new Allowances({ perS: 0.001, burst: 1 }, 1_000);
    expect(allowances.take("greedy", 1, 0)).toBe(0);
    let most = 0;
    for (let i = 0; i < 20_000; i++) {
      allowances.take(`key ${i}`, 1, i);
      if (i % 100 === 0) expect(allowances.take("greedy", 1, i)).toBeGreaterThan(0);
      most = Math.max(most, allowances.size);
    }
    expect(most).toBeLessThanOrEqual(1_001);
    // Whoever came first is forgotten, which gives a full bucket.
    expect(allowances.take("key 0", 1, 20_000)).toBe(0);
  });

  it("for what others are to be told is bounded, too", () => {
    const allowances = new Allowances({ perS: 1_000, burst: 1_000 }, 100);
    allowances.spent();
    for (let i = 0; i < 1_000; i++) allowances.take(`key ${i}`, 1, i);
    expect([...allowances.spent()]).toHaveLength(100);
  });
});

describe("at any pace", () => {
  const steps = array(
    record({ ms: integer({ min: 0, max: 3_000 }), cost: integer({ min: 1, max: 12 }), key: constantFrom("a", "b") }),
    { maxLength: 300 },
  );

  it("no more is granted than the burst and what came in since, over any stretch of time", () => {
    assert(
      property(steps, integer({ min: 1, max: 40 }), integer({ min: 1, max: 30 }), (taken, perS, burst) => {
        const allowances = new Allowances({ perS, burst });
        const passed: { now: number; cost: number }[] = [];
        let now = 0;
        for (const { ms, cost, key } of taken) {
          now += ms;
          const waitMs = allowances.take(key, cost, now);
          if (waitMs === 0 && key === "a") passed.push({ now, cost: Math.min(cost, burst) });
        }
        for (let from = 0; from < passed.length; from++) {
          let total = 0;
          for (let to = from; to < passed.length; to++) {
            total += passed[to]!.cost;
            const most = burst + ((passed[to]!.now - passed[from]!.now) * perS) / 1_000;
            expect(total).toBeLessThanOrEqual(most + 1e-6);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it("what was told to wait is granted after that time, where nobody else came", () => {
    assert(
      property(steps, integer({ min: 1, max: 40 }), integer({ min: 1, max: 30 }), (taken, perS, burst) => {
        const allowances = new Allowances({ perS, burst });
        let now = 0;
        for (const { ms, cost, key } of taken) {
          now += ms;
          const waitMs = allowances.take(key, cost, now);
          if (waitMs === 0) continue;
          if (waitMs > 1) expect(allowances.waitMs(key, cost, now + waitMs - 1)).toBeGreaterThan(0);
          now += waitMs;
          expect(allowances.take(key, cost, now)).toBe(0);
        }
      }),
      { numRuns: 200 },
    );
  });
});
