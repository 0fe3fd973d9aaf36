import { describe, expect, it } from "vitest";
import { Turn } from "../../src/server/turn.ts";
import { frameText, frameTexts } from "../../src/server/wire.ts";
import { Owner, turnEnded } from "./support/pipe.ts";

const turn = (): Turn => new Turn(() => 0);

describe("an outbox", () => {
  it("writes what was pushed in one turn in order and in one write", async () => {
    const owner = new Owner(turn());
    for (const text of ["a", "b", "c"]) owner.outbox.push(frameText(text));
    expect(owner.pipe.written).toHaveLength(0);
    await turnEnded();
    expect(owner.texts).toEqual(["a", "b", "c"]);
    expect(owner.pipe.written).toHaveLength(1);
  });

  it("keeps the order of large frames, which it does not copy", async () => {
    const owner = new Owner(turn());
    const large = "x".repeat(50_000);
    for (const text of [large, "b", large, "d"]) owner.outbox.push(frameText(text));
    await turnEnded();
    expect(owner.texts).toEqual([large, "b", large, "d"]);
  });

  it("gives a connection with deflate every frame by itself, in order, to ws", async () => {
    const owner = new Owner(turn(), { deflated: true });
    owner.outbox.push(frameTexts(["a", "b"]).bytes);
    owner.outbox.push(frameText("c"));
    await turnEnded();
    expect(owner.fake.sent).toEqual(["a", "b", "c"]);
    expect(owner.pipe.written).toHaveLength(0);
  });

  it("writes nothing to a socket that is closing", async () => {
    const owner = new Owner(turn());
    owner.outbox.push(frameText("a"));
    owner.fake.readyState = 2;
    await turnEnded();
    expect(owner.texts).toEqual([]);
  });

  it("writes at once what it is told to, before a close", () => {
    const owner = new Owner(turn());
    owner.outbox.push(frameText("last words"));
    owner.outbox.flush();
    expect(owner.texts).toEqual(["last words"]);
  });

  it("takes nothing after its close", async () => {
    const owner = new Owner(turn());
    owner.outbox.push(frameText("a"));
    owner.outbox.close();
    owner.outbox.push(frameText("b"));
    await turnEnded();
    expect(owner.texts).toEqual([]);
  });
});

describe("the bound of an outbox", () => {
  it("is told once when it is passed, and nothing more is taken", async () => {
    const owner = new Owner(turn(), { outboxBytes: 50_000 });
    owner.pipe.stall();
    for (let i = 0; i < 20; i++) {
      owner.outbox.push(frameText("x".repeat(10_000)));
      await turnEnded(1);
    }
    expect(owner.overflows).toBe(1);
    expect(owner.outbox.waitingBytes).toBeLessThan(70_000);
  });

  it("is not passed by one who reads, however much is sent", async () => {
    const owner = new Owner(turn(), { outboxBytes: 50_000 });
    for (let i = 0; i < 100; i++) {
      owner.outbox.push(frameText("x".repeat(10_000)));
      await turnEnded(1);
    }
    expect(owner.overflows).toBe(0);
    expect(owner.texts).toHaveLength(100);
  });

  it("counts for a connection with deflate what ws has queued", async () => {
    const owner = new Owner(turn(), { deflated: true, outboxBytes: 50_000 });
    owner.fake.bufferedAmount = 50_001;
    owner.outbox.push(frameText("a"));
    await turnEnded();
    expect(owner.overflows).toBe(1);
  });
});

describe("waiting until an outbox is drained", () => {
  it("ends when the reader has taken enough", async () => {
    const owner = new Owner(turn(), { outboxBytes: 100_000 });
    owner.pipe.stall();
    owner.outbox.push(frameText("x".repeat(60_000)));
    let done = false;
    const drained = owner.outbox.drained().then(() => (done = true));
    await turnEnded();
    expect(done).toBe(false);
    owner.pipe.resumeReading();
    await drained;
    expect(owner.outbox.congested).toBe(false);
  });

  it("ends when the stream is gone", async () => {
    const owner = new Owner(turn(), { outboxBytes: 100_000 });
    owner.pipe.stall();
    owner.outbox.push(frameText("x".repeat(60_000)));
    const drained = owner.outbox.drained();
    owner.outbox.close();
    owner.pipe.destroy();
    await drained;
    expect(owner.pipe.destroyed).toBe(true);
  });

  it("ends where the bound is so small that the stream never asks for a pause", async () => {
    const owner = new Owner(turn(), { outboxBytes: 20_000 });
    owner.pipe.stall();
    owner.outbox.push(frameText("x".repeat(8_000)));
    const drained = owner.outbox.drained();
    await turnEnded();
    owner.pipe.resumeReading();
    await drained;
    expect(owner.texts).toHaveLength(1);
  });

  it("leaves no listeners on the stream, however often and by however many it is waited for", async () => {
    const owner = new Owner(turn(), { outboxBytes: 100_000 });
    const before = owner.pipe.listenerCount("close") + owner.pipe.listenerCount("drain");
    for (let round = 0; round < 20; round++) {
      owner.pipe.stall();
      owner.outbox.push(frameText("x".repeat(60_000)));
      const waiting = Array.from({ length: 20 }, () => owner.outbox.drained());
      await turnEnded(1);
      expect(owner.pipe.listenerCount("drain") + owner.pipe.listenerCount("close") - before).toBeLessThanOrEqual(2);
      owner.pipe.resumeReading();
      await Promise.all(waiting);
    }
    expect(owner.pipe.listenerCount("close") + owner.pipe.listenerCount("drain")).toBe(before);
  });
});
