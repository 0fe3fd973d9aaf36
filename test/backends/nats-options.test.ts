import { describe, expect, it } from "vitest";
import { nats } from "../../src/backends/nats/index.ts";
import { resolveOptions } from "../../src/backends/nats/options.ts";
import { Shape } from "../../src/backends/nats/shape.ts";

describe("the options of NATS", () => {
  it("take user, password and token from the URL, as NATS has them", () => {
    expect(resolveOptions({ servers: "nats://ann:a%2Fb@h" })).toMatchObject({
      servers: ["h:4222"],
      user: "ann",
      password: "a/b",
      token: undefined,
      isTls: false,
    });
    expect(resolveOptions({ servers: ["tls://t0ken@h:1", "i:2"] })).toMatchObject({
      servers: ["h:1", "i:2"],
      token: "t0ken",
      user: undefined,
      isTls: true,
    });
  });

  it("that cannot work are refused, naming what was expected", () => {
    expect(() => nats({ servers: [] })).toThrow("at least one");
    expect(() => nats({ servers: "http://h" })).toThrow("nats://HOST:PORT");
    expect(() => nats({ servers: "h", prefix: "a.b" })).toThrow("prefix");
    expect(() => nats({ servers: "h", waitMs: 1 })).toThrow("waitMs");
  });

  it("decide what the backend promises", () => {
    expect(nats({ servers: "h" }).promises).toEqual({ survives: "process", shared: true, log: true });
    expect(nats({ servers: "h", replicas: 3 }).promises.survives).toBe("machine");
    expect(nats({ servers: "h", storage: "memory" }).promises.survives).toBe("nothing");
    expect(nats({ servers: "h", log: false }).promises).toEqual({ survives: "nothing", shared: true, log: false });
  });
});

describe("the shape of a room's log", () => {
  const stamp = (kind: "entry" | "mark", at: number, head = 0, life = "a") =>
    ({ kind, life, streamLife: "s", at, head }) as const;
  const keep = { messages: 3, ms: 1_000 };

  it("begins at offset 0 where its birth is there, and leaves marks and other lives out", () => {
    const shape = new Shape("a");
    shape.add({ seq: 3, stamp: stamp("entry", 1, 0, "earlier") });
    shape.add({ seq: 5, stamp: stamp("mark", 1) });
    shape.add({ seq: 9, stamp: stamp("entry", 2) });
    shape.add({ seq: 12, stamp: stamp("mark", 3, 9) });
    shape.add({ seq: 20, stamp: stamp("entry", 4) });
    shape.add({ seq: 20, stamp: stamp("entry", 4) });
    expect(shape.trimmed(keep, 4)).toBe(0);
    expect(shape.after(0, 10, keep, 4)).toEqual([
      { offset: 9, prev: 0 },
      { offset: 20, prev: 9 },
    ]);
    expect([shape.count(0, 20, keep, 4), shape.count(9, 20, keep, 4), shape.count(0, 19, keep, 4)]).toEqual([2, 1, 1]);
  });

  it("knows the newest offset up to any number, which is mostly another room's", () => {
    const shape = new Shape("a");
    expect(shape.upTo(100)).toBe(0);
    shape.add({ seq: 5, stamp: stamp("mark", 1) });
    for (const seq of [9, 20]) shape.add({ seq, stamp: stamp("entry", 2) });
    expect([8, 9, 19, 20, 99].map((offset) => shape.upTo(offset))).toEqual([0, 9, 9, 20, 20]);
    const trimmed = new Shape("a");
    for (const seq of [9, 20]) trimmed.add({ seq, stamp: stamp("entry", 2) });
    expect([8, 19, 20].map((offset) => trimmed.upTo(offset))).toEqual([9, 9, 20]);
  });

  it("takes the oldest for a witness where its birth is gone, and trims by number and age", () => {
    const shape = new Shape("a");
    for (const [i, seq] of [10, 20, 30, 40, 50].entries()) shape.add({ seq, stamp: stamp("entry", i * 400) });
    expect(shape.trimmed(keep, 1_600)).toBe(20);
    expect(shape.before(50, 10, keep, 1_600)).toEqual([
      { offset: 30, prev: 20 },
      { offset: 40, prev: 30 },
    ]);
    expect(shape.trimmed(keep, 2_300)).toBe(40);
    expect(shape.after(0, 10, keep, 9_999)).toEqual([]);
    shape.prune(2);
    expect(shape.after(0, 10, { messages: 100, ms: 1e9 }, 0)).toEqual([
      { offset: 40, prev: 30 },
      { offset: 50, prev: 40 },
    ]);
  });
});
