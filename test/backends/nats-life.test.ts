import { describe, expect, it, vi } from "vitest";
import { BackendUnavailable } from "../../src/backends/backend.ts";
import { type Api, RefusedByNats } from "../../src/backends/nats/api.ts";
import type { EngineClock } from "../../src/backends/nats/clock.ts";
import { Life } from "../../src/backends/nats/life.ts";
import { Names } from "../../src/backends/nats/names.ts";
import { resolveOptions } from "../../src/backends/nats/options.ts";
import { Streams } from "../../src/backends/nats/streams.ts";

describe("the life of the stream", () => {
  /** A stream whose answers may be overtaken by what it sends on. */
  function busy({ isBack }: { isBack: boolean }): {
    life: Life;
    names: Names;
    written: string[];
    asks: () => number;
  } {
    const written: string[] = [];
    const names = new Names("test");
    let last = 10;
    const saw = (): void => {
      if (!isBack) life.saw(++last, `id ${last}`, "first");
    };
    /** Where it stood when it was asked; one more message is heard of before the answer. */
    let asks = 0;
    const asked = (): Promise<number> => {
      asks++;
      const answer = isBack ? 5 : last;
      saw();
      return Promise.resolve(answer);
    };
    const record = {
      seq: 1,
      stamp: undefined,
      id: undefined,
      text: '{"name":"first"}',
      time: new Date().toISOString(),
    };
    const api = {
      last: () => Promise.resolve(record),
      info: async () => ({ state: { last_seq: await asked() } }),
      bySequence: (_: string, seq: number) => Promise.resolve({ ...record, seq, id: `id ${seq}` }),
      publishAfter: (_: number, __: string, text: string) => {
        written.push(text);
        return Promise.resolve({ kind: "kept", seq: last + 1, isDuplicate: false });
      },
    };
    const life: Life = new Life({
      api: api as unknown as Api,
      names,
      streams: { ensure: asked, logMs: 3_600_000 } as unknown as Streams,
      clock: { now: Date.now, measureWhereDue: () => Promise.resolve() } as unknown as EngineClock,
      context: { now: Date.now, log: () => undefined },
    });
    return { life, names, written, asks: () => asks };
  }

  it("goes on where a message is heard of before the answer that does not know it yet, every time", async () => {
    const { life, written } = busy({ isBack: false });
    await life.verify();
    await life.verify();
    await life.verify();
    expect([life.current.name, written]).toEqual(["first", []]);
  });

  it("is looked for once where a message is of one that this node does not know", async () => {
    const { life, asks } = busy({ isBack: false });
    await life.verify();
    const before = asks();
    await life.heardOf("first");
    expect(asks()).toBe(before);
    await life.heardOf("another");
    expect(asks()).toBe(before + 2);
    await life.heardOf("another");
    expect(asks()).toBe(before + 2);
  });

  it("is unknown from when the stream is found to be another one until that one's record is read", async () => {
    const { life, names } = busy({ isBack: false });
    await life.verify();
    names.instance = "another";
    expect(() => life.current).toThrow(BackendUnavailable);
    await life.verify();
    expect(life.current.name).toBe("first");
  });

  it("ends where the stream ends before what is known of it, also when it is asked again", async () => {
    const { life, written } = busy({ isBack: true });
    await life.verify();
    life.saw(7, "id 7", "first");
    await life.verify();
    expect(life.current).toMatchObject({ parent: "first", fork: 5 });
    expect(written).toHaveLength(1);
  });
});

describe("a stream that cannot be made", () => {
  it("is waited for once, and then the reason is told, however long it lasts", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const names = new Names("test");
      const info = { config: { max_age: 1e18, duplicate_window: 1e18 }, state: { last_seq: 1 } };
      const api = {
        info: (name: string) => Promise.resolve(name === names.log ? undefined : { ...info, name }),
        createStream: () => Promise.reject(new RefusedByNats("subjects overlap with an existing stream")),
        updateStream: () => Promise.resolve(),
      };
      const streams = new Streams(api as unknown as Api, names, resolveOptions({ servers: "nats://127.0.0.1" }));
      const said: string[] = [];
      for (let second = 0; second < 30; second++) {
        said.push(await streams.ensure().then(() => "made", String));
        vi.advanceTimersByTime(1_000);
      }
      expect(said[0]).toMatch(/is missing/);
      for (const each of said.slice(1)) expect(each).toMatch(/test-log.*subjects overlap/);
    } finally {
      vi.useRealTimers();
    }
  });
});
