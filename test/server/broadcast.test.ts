import { describe, expect, it } from "vitest";
import { Broadcast } from "../../src/server/broadcast.ts";
import { Turn } from "../../src/server/turn.ts";
import { frameText } from "../../src/server/wire.ts";
import { Owner, turnEnded } from "./support/pipe.ts";

const turn = (): Turn => new Turn(() => 0);

function listeners(t: Turn, count: number): Owner[] {
  return Array.from({ length: count }, () => new Owner(t));
}

describe("a broadcast", () => {
  it("gives every listener all that is pushed, in order, in one write", async () => {
    const t = turn();
    const [a, b] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.add(b);
    broadcast.push("1");
    broadcast.push("2");
    await turnEnded();
    expect([a.texts, b.texts]).toEqual([
      ["1", "2"],
      ["1", "2"],
    ]);
    expect(a.pipe.written).toHaveLength(1);
  });

  it("shares one buffer among its listeners", async () => {
    const t = turn();
    const [a, b] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.add(b);
    broadcast.push("shared");
    await turnEnded();
    expect(a.pipe.written[0]?.buffer).toBe(b.pipe.written[0]?.buffer);
  });

  it("gives a listener that came in the middle of a turn what is pushed from then on", async () => {
    const t = turn();
    const [early, late] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(early);
    broadcast.push("1");
    broadcast.add(late);
    broadcast.push("2");
    await turnEnded();
    expect([early.texts, late.texts]).toEqual([["1", "2"], ["2"]]);
  });

  it("gives a listener that goes what was pushed before, and nothing more", async () => {
    const t = turn();
    const [stays, goes] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(stays);
    broadcast.add(goes);
    broadcast.push("1");
    broadcast.remove(goes);
    broadcast.push("2");
    await turnEnded();
    broadcast.push("3");
    await turnEnded();
    expect([stays.texts, goes.texts]).toEqual([["1", "2", "3"], ["1"]]);
  });

  it("gives nothing twice to one who goes and comes again within a turn", async () => {
    const t = turn();
    const [a] = listeners(t, 1) as [Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.push("1");
    broadcast.remove(a);
    broadcast.push("2");
    broadcast.add(a);
    broadcast.push("3");
    await turnEnded();
    expect(a.texts).toEqual(["1", "3"]);
  });

  it("keeps its order against a direct frame, for the listeners that were settled", async () => {
    const t = turn();
    const [a, b] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.add(b);
    broadcast.push("1");
    broadcast.settle(a);
    a.outbox.push(frameText("direct"));
    broadcast.push("2");
    await turnEnded();
    expect([a.texts, b.texts]).toEqual([
      ["1", "direct", "2"],
      ["1", "2"],
    ]);
  });

  it("gives the one left out another text in the same place", async () => {
    const t = turn();
    const [a, b] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.add(b);
    broadcast.push("1");
    broadcast.push("2", a, "skip 2");
    broadcast.push("3");
    await turnEnded();
    expect([a.texts, b.texts]).toEqual([
      ["1", "skip 2", "3"],
      ["1", "2", "3"],
    ]);
  });

  it("gives nothing at all to one left out who does not listen", async () => {
    const t = turn();
    const [a, stranger] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.push("1", stranger, "skip 1");
    await turnEnded();
    expect([a.texts, stranger.texts]).toEqual([["1"], []]);
  });

  it("forgets its texts after the turn, so that the next one begins anew", async () => {
    const t = turn();
    const [a, b] = listeners(t, 2) as [Owner, Owner];
    const broadcast = new Broadcast<Owner>(t, false);
    broadcast.add(a);
    broadcast.push("1", a);
    await turnEnded();
    broadcast.add(b);
    broadcast.push("2");
    await turnEnded();
    expect([a.texts, b.texts]).toEqual([["2"], ["2"]]);
  });
});

describe("a listener that is congested", () => {
  function congested(t: Turn): Owner {
    const owner = new Owner(t, { outboxBytes: 100_000 });
    owner.pipe.stall();
    owner.pipe.write(frameText("x".repeat(40_000)));
    return owner;
  }

  it("is passed over by droppable frames, and gets them again when it has caught up", async () => {
    const t = turn();
    const owner = congested(t);
    const signals = new Broadcast<Owner>(t, true);
    signals.add(owner);
    signals.push("dropped");
    await turnEnded();
    owner.pipe.resumeReading();
    signals.push("seen");
    await turnEnded();
    expect(owner.texts.slice(1)).toEqual(["seen"]);
  });

  it("gets all other frames", async () => {
    const t = turn();
    const owner = congested(t);
    const messages = new Broadcast<Owner>(t, false);
    messages.add(owner);
    messages.push("kept");
    await turnEnded();
    owner.pipe.resumeReading();
    expect(owner.texts.slice(1)).toEqual(["kept"]);
  });
});
