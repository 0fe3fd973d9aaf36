import { describe, expect, it } from "vitest";
import { plain, Tale, verdict } from "./tale.ts";

const three = ["m1", "m2", "m3"];

/** Web's app is in, too, and is given these. */
function appGets(...ids: string[]): Tale {
  const tale = plain().app("joined", { cursor: "e:0" });
  for (const id of ids) tale.appGets(`e:${id.slice(1)}`, id);
  return tale.over("e", three);
}

describe("the checker, where nothing is wrong behind our client, says nothing of", () => {
  it("an app that is given everything, a reset of a log that a flush took, and a gap that is announced", () => {
    expect(verdict(appGets(...three))).toEqual([]);
    const flushed = new Tale(["engine-flush"]).join("ann", "e:0").app("joined", { cursor: "e:0" });
    flushed.publish("m1", "e:1").message("ann/1", 1).appGets("e:1", "m1").fault("engine-flush");
    flushed.got("ann/1", { type: "gap", cursor: "f:0", reason: "epoch" });
    flushed.app("joined", { cursor: "f:0" }).app("reset", { cursor: "f:0", reason: "epoch" });
    flushed.publish("m2", "f:1").message("ann/1", 1, "m2").appGets("f:1", "m2");
    expect(verdict(flushed.over("f", ["m2"]))).toEqual([]);
    const slow = plain().app("joined", { cursor: "e:0" }).app("gap", { cursor: "e:2", reason: "slow" });
    expect(verdict(slow.appGets("e:3", "m3").over("e", three))).toEqual([]);
  });

  it("a gap for what a flush took while it was being read, before the new epoch is known", () => {
    const flushed = (laterMs: number): Tale => {
      const tale = new Tale(["engine-flush"]).join("ann", "e:0").app("joined", { cursor: "e:0" });
      tale.publish("m1", "e:1").message("ann/1", 1).fault("engine-flush").wait(laterMs);
      tale.app("gap", { cursor: "e:1", reason: "trimmed" });
      tale.got("ann/1", { type: "gap", cursor: "f:0", reason: "epoch" });
      return tale.app("reset", { cursor: "f:0", reason: "epoch" }).over("f", []);
    };
    expect(verdict(flushed(2_000))).toEqual([]);
    expect(verdict(flushed(20_000))).toEqual(["2: the app of web in room, at e:0, was told of a gap to e:1: trimmed"]);
  });

  it("what an app published: kept, refused, not wanted back, or given up when it closed its client", () => {
    const tale = plain().app("joined", { cursor: "e:3" }).appPublishes("w1", { cursor: "e:4" }, { echo: false });
    for (const who of ["ann/1", "bob/1"]) tale.message(who, 4, "w1").message(who, 5, "w3");
    tale.appPublishes("w2", { code: "conflict" }).add({ kind: "asked", actor: "web", room: "room", id: "w3" });
    tale.app("closed").add({ kind: "told", actor: "web", id: "w3", code: "outcome_unknown" });
    tale.app("joined", { cursor: "e:3" }).appGets("e:5", "w3");
    expect(verdict(tale.over("e", [...three, "w1", "w3"]))).toEqual([]);
  });

  it("a publish that must be refused, was sent without an answer, and is refused when it is repeated", () => {
    const told = { code: "outcome_unknown", cause: "bad_field" };
    const tale = plain().app("joined", { cursor: "e:3" }).appPublishes("w1", told);
    expect(verdict(tale.over("e", three))).toEqual([]);
  });
});

describe("the checker finds, behind our client,", () => {
  it("a message that is given twice", () => {
    expect(verdict(appGets("m1", "m2", "m2", "m3"))).toEqual(["3: the app of web saw m2 twice"]);
  });

  it("a message that is left out, and nothing told of it", () => {
    expect(verdict(appGets("m1", "m3"))).toEqual([
      "3: the app of web in room, at e:1, was not given m2, which is at 2",
    ]);
  });

  it("two that are swapped", () => {
    expect(verdict(appGets("m2", "m1", "m3"))).toEqual([
      "3: the app of web in room, at e:0, was not given m1, which is at 1",
    ]);
    const late = plain().app("joined", { cursor: "e:1" }).appGets("e:2", "m2").appGets("e:1", "m1");
    expect(verdict(late.over("e", three))).toEqual(["3: the app of web in room, at e:2, was given m1, which is at 1"]);
  });

  it("a last message that never comes", () => {
    expect(verdict(appGets("m1", "m2"))).toEqual(["9: the app of web in room was at e:2 in the end, and lacks m3"]);
  });

  it("another epoch that it was not told of", () => {
    const tale = new Tale(["engine-flush"]).join("ann", "e:0").app("joined", { cursor: "e:0" });
    tale.publish("m1", "e:1").message("ann/1", 1).appGets("e:1", "m1").fault("engine-flush");
    tale.got("ann/1", { type: "gap", cursor: "f:0", reason: "epoch" });
    tale.publish("m2", "f:1").message("ann/1", 1, "m2").appGets("f:1", "m2");
    expect(verdict(tale.over("f", ["m2"]))).toEqual(["3: the app of web in room, at e:1, was given m2 of epoch f"]);
  });

  it("a message under another's number", () => {
    const tale = plain().app("joined", { cursor: "e:0" }).appGets("e:1", "m2");
    expect(verdict(tale.over("e", three))).toEqual(
      expect.arrayContaining(["1: room e:1 is m1 and m2", "5: m2 is twice in room, at 2 and 1"]),
    );
  });

  it("a gap that no server announced, one that leads back, and one over what is kept", () => {
    for (const [cursor, reason] of [
      ["e:3", "unknown"],
      ["e:1", "slow"],
      ["e:3", "trimmed"],
    ] as const) {
      const tale = plain().app("joined", { cursor: "e:2" }).app("gap", { cursor, reason });
      const said = `2: the app of web in room, at e:2, was told of a gap to ${cursor}: ${reason}`;
      expect(verdict(tale.over("e", three))).toEqual([said]);
    }
  });

  it("a reset for no reason", () => {
    for (const reason of ["epoch", "trimmed", "unkept"]) {
      const tale = plain().app("joined", { cursor: "e:2" }).app("reset", { cursor: "e:3", reason });
      const said = `7: the app of web in room was told to begin anew at e:3 for no reason: ${reason}`;
      expect(verdict(tale.over("e", three))).toEqual([said]);
    }
  });

  it("a publish that is kept twice", () => {
    const tale = plain().app("joined", { cursor: "e:3" }).appPublishes("w1", { cursor: "e:5" });
    for (const who of ["ann/1", "bob/1"]) tale.message(who, 4, "w1").message(who, 5, "w1");
    tale.appGets("e:4", "w1").appGets("e:5", "w1");
    expect(verdict(tale.over("e", [...three, "w1", "w1"]))).toEqual(["5: w1 is twice in room, at 5 and 4"]);
  });

  it("a publish that was said to be done and is not kept", () => {
    const tale = plain().appPublishes("w1", { cursor: "e:4" });
    expect(verdict(tale.over("e", three))).toContainEqual(
      "4: w1 was acknowledged at 4 of room, where node-1 has nothing",
    );
  });

  it("a publish that was said to be refused and is kept", () => {
    const tale = plain().appPublishes("w1", { code: "conflict" }).message("ann/1", 4, "w1").message("bob/1", 4, "w1");
    expect(verdict(tale.over("e", [...three, "w1"]))).toEqual(["5: w1 was refused, and is in room"]);
  });

  it("publishes in another order than they were asked for", () => {
    const tale = plain();
    for (const id of ["w1", "w2"]) tale.add({ kind: "asked", actor: "web", room: "room", id });
    tale.add({ kind: "told", actor: "web", id: "w2", cursor: "e:4" });
    tale.add({ kind: "told", actor: "web", id: "w1", cursor: "e:5" });
    for (const who of ["ann/1", "bob/1"]) tale.message(who, 4, "w2").message(who, 5, "w1");
    expect(verdict(tale.over("e", [...three, "w2", "w1"]))).toEqual([
      "6: the app of web published w1 before w2, which stand at 5 and 4",
    ]);
  });

  it("a publish that was given up though nobody closed the client", () => {
    const tale = plain().app("joined", { cursor: "e:3" }).appPublishes("w1", { code: "outcome_unknown" });
    expect(verdict(tale.over("e", three))).toEqual(["5: the client of web gave w1 up: outcome_unknown"]);
  });

  it("arrivals and departures that do not alternate, and a number that is not that of the list", () => {
    for (const [change, said] of [
      [{ joined: ["ann"], members: 1 }, "ann came, who was there"],
      [{ left: ["bob"], members: 1 }, "bob left, who was not there"],
      [{ joined: ["bob"], members: 3 }, "told of 3 members, and its list has 2"],
    ] as const) {
      const tale = plain()
        .app("presence", { users: ["ann"], members: 1 })
        .app("presence", change as never);
      expect(verdict(tale.over("e", three))).toEqual([`10: the app of web in room: ${said}`]);
    }
  });

  it("an error that nobody caused, and a room that was taken away", () => {
    const tale = plain().app("error", { reason: "bad_frame" }).app("left", { reason: "removed" });
    expect(verdict(tale.over("e", three))).toEqual([
      "0: the client of web reports bad_frame",
      "0: the app of web was put out of its room: removed",
    ]);
  });
});
