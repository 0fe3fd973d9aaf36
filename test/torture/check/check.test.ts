import { describe, expect, it } from "vitest";
import { check } from "./index.ts";
import { plain, Tale } from "./tale.ts";

/** The invariants that do not hold, and what is said of them. */
function verdict(tale: Tale): string[] {
  return check(tale.records).map(({ invariant, text }) => `${invariant}: ${text}`);
}

const three = ["m1", "m2", "m3"];

/** Web's app is in, too, and is given these. */
function appGets(...ids: string[]): Tale {
  const tale = plain().app("joined", { cursor: "e:0" });
  for (const id of ids) tale.appGets(`e:${id.slice(1)}`, id);
  return tale.over("e", three);
}

/** Bob, at node-2, gets a message that was published after node-1 answered that he is revoked. */
function bobIsRevoked({ cutOff = "node-2", forMs = 3_000, laterMs = 3_000 } = {}): Tale {
  const tale = new Tale().join("ann", "e:0");
  tale.add({ kind: "opened", connection: "bob/1", actor: "bob", user: "bob", node: "node-2", tokenAt: 0 });
  tale.got("bob/1", { type: "joined", cursor: "e:0", replay: 0, members: 2 });
  tale.add({ kind: "fault", fault: "engine-lost-down", phase: "begin", node: cutOff });
  const path = "/v1/users/bob/connections?revoke=true";
  tale.add({ kind: "called", call: "r", actor: "operator", node: "node-1", method: "DELETE", path });
  tale.add({ kind: "answered", call: "r", status: 204, body: {} }).publish("m1", "e:1").message("ann/1", 1);
  tale.wait(forMs).add({ kind: "fault", fault: "engine-lost-down", phase: "end", node: cutOff });
  return tale.wait(laterMs).message("bob/1", 1).over("e", ["m1"]);
}

/** Ann and Bob are in; Ann publishes three messages, and Bob gets these offsets. */
function bobGets(...offsets: number[]): Tale {
  const tale = new Tale().join("ann", "e:0").join("bob", "e:0");
  for (const offset of [1, 2, 3]) tale.publish(`m${offset}`, `e:${offset}`).message("ann/1", offset);
  for (const offset of offsets) tale.message("bob/1", offset);
  return tale.over("e", three);
}

describe("the checker, where nothing is wrong, says nothing of", () => {
  it("a plain run", () => expect(verdict(plain().over("e", three))).toEqual([]));

  it("a resume", () => {
    const tale = plain().add({ kind: "ended", connection: "bob/1", by: "device" });
    tale.publish("m4", "e:4").message("ann/1", 4);
    tale.join("bob", "e:3", { since: "e:3", recovered: true, replay: 1 }, 2).message("bob/2", 4);
    expect(verdict(tale.over("e", [...three, "m4"]))).toEqual([]);
  });

  it("a log that a flush took, and of which all were told", () => {
    const tale = new Tale(["engine-flush"]).join("ann", "e:0").join("bob", "e:0");
    tale.publish("m1", "e:1").message("ann/1", 1).message("bob/1", 1).fault("engine-flush");
    for (const who of ["ann/1", "bob/1"]) tale.got(who, { type: "gap", cursor: "f:0", reason: "epoch" });
    tale.publish("m2", "f:1").message("ann/1", 1, "m2").message("bob/1", 1, "m2");
    expect(verdict(tale.over("f", ["m2"]))).toEqual([]);
  });

  it("a publish without an answer, whether it is kept or not", () => {
    expect(verdict(plain().publish("m4", undefined).over("e", three))).toEqual([]);
    const kept = plain().publish("m4", undefined).message("ann/1", 4).message("bob/1", 4);
    expect(verdict(kept.over("e", [...three, "m4"]))).toEqual([]);
  });

  it("messages that their sender did not want back", () => {
    const tale = new Tale().join("ann", "e:0");
    tale.add({
      kind: "sent",
      connection: "ann/1",
      frame: { type: "publish", id: "m1", room: "room", echo: false, data: { id: "m1" } },
    });
    tale.got("ann/1", { type: "ack", re: "m1", cursor: "e:1", offset: 1 }).got("ann/1", { type: "skip", offset: 1 });
    expect(verdict(tale.over("e", ["m1"]))).toEqual([]);
  });

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

  it("what an app published: kept, refused, not wanted back, or given up when it closed its client", () => {
    const tale = plain().app("joined", { cursor: "e:3" }).appPublishes("w1", { cursor: "e:4" }, { echo: false });
    for (const who of ["ann/1", "bob/1"]) tale.message(who, 4, "w1").message(who, 5, "w3");
    tale.appPublishes("w2", { code: "conflict" }).add({ kind: "asked", actor: "web", room: "room", id: "w3" });
    tale.app("closed").add({ kind: "told", actor: "web", id: "w3", code: "outcome_unknown" });
    tale.app("joined", { cursor: "e:3" }).appGets("e:5", "w3");
    expect(verdict(tale.over("e", [...three, "w1", "w3"]))).toEqual([]);
  });

  it("what a node tells a revoked user that was cut off, a moment after it no longer is", () => {
    expect(verdict(bobIsRevoked())).toEqual([]);
  });

  it("a repeat that is sent in one millisecond with another publish, in another order than at first", () => {
    const tale = new Tale().join("ann", "e:0").publish("m1", undefined).publish("m2", undefined);
    tale.add({ kind: "ended", connection: "ann/1", by: "device" }).join("ann", "e:0", {}, 2);
    tale.publish("m2", undefined, "ann/2").wait(-10).publish("m1", undefined, "ann/2");
    for (const [re, offset] of [
      ["m2", 1],
      ["m1", 2],
    ] as const)
      tale.got("ann/2", { type: "ack", re, offset, cursor: `e:${offset}` }).message("ann/2", offset, re);
    expect(verdict(tale.over("e", ["m2", "m1"]))).toEqual([]);
  });
});

describe("the checker finds a planted", () => {
  it("loss", () => {
    expect(verdict(bobGets(1, 3))).toContainEqual("2: bob in room, standing at e:1, got message 3");
  });

  it("loss that a false predecessor hides", () => {
    const tale = new Tale().join("ann", "e:0").join("bob", "e:0");
    for (const offset of [1, 2, 3]) tale.publish(`m${offset}`, `e:${offset}`).message("ann/1", offset);
    tale.message("bob/1", 1).got("bob/1", { type: "message", offset: 3, prev: 1, data: { id: "m3" } });
    expect(verdict(tale.over("e", three))).toEqual(["2: bob in room was not sent m2, which is at 2"]);
  });

  it("swap", () => {
    expect(verdict(bobGets(1, 3, 2))).toContainEqual("2: bob in room, standing at e:1, got message 3");
  });

  it("duplicate", () => {
    expect(verdict(bobGets(1, 2, 2, 3))).toEqual(["2: bob in room, standing at e:2, got message 2"]);
  });

  it("ack before the message is kept", () => {
    const tale = plain().publish("m4", "e:4");
    expect(verdict(tale.over("e", three))).toEqual([
      "4: m4 was acknowledged at 4 of room, where node-1 has nothing",
      "8: room went back to 3 at node-1, and its epoch is the same",
      // Nobody was sent what is not there.
    ]);
  });

  it("ack that a page does not show", () => {
    const page = { messages: [{ offset: 2, data: { id: "m2" } }], cursor: "e:2", more: true };
    const tale = plain()
      .add({
        kind: "called",
        call: "c",
        actor: "reader",
        node: "node-1",
        method: "GET",
        path: "/v1/rooms/room/messages?limit=1",
      })
      .add({ kind: "answered", call: "c", status: 200, body: page });
    expect(verdict(tale.over("e", three))).toEqual([
      "4: m3 was acknowledged at 3 of room; a page asked for after that lacks it",
    ]);
  });

  it("offset that is used again after a flush", () => {
    const tale = new Tale(["engine-flush"]).join("ann", "e:0").join("bob", "e:0");
    tale.publish("m1", "e:1").message("ann/1", 1).message("bob/1", 1).fault("engine-flush").publish("m2", "e:1");
    expect(verdict(tale.over("e", ["m2"]))).toEqual(
      expect.arrayContaining(["1: room e:1 is m1 and m2", "4: m1 was acknowledged at 1 of room, where node-1 has m2"]),
    );
  });

  it("epoch that changes for no reason", () => {
    const tale = plain();
    for (const who of ["ann/1", "bob/1"]) tale.got(who, { type: "gap", cursor: "f:0", reason: "epoch" });
    expect(verdict(tale.over("f", []))).toEqual(["8: room went from epoch e to f for no reason"]);
  });

  it("lost last message", () => {
    expect(verdict(bobGets(1, 2))).toEqual([
      "9: bob in room was at e:2 7000 ms after the last publish, and the head is e:3",
    ]);
  });

  it("last message that comes too late", () => {
    const tale = bobGets(1, 2).message("bob/1", 3);
    expect(verdict(tale)).toHaveLength(1);
  });

  it("ghost", () => {
    const tale = new Tale().join("ann", "e:0", { presence: [{ user: "ann" }, { user: "bob" }], members: 2 });
    tale.add({ kind: "truth", room: "room", users: ["ann"] });
    tale.add({ kind: "there", source: "node-1", room: "room", users: ["ann"], members: 1 });
    expect(verdict(tale.over("e", []))).toEqual(["10: ann in room sees bob, who left"]);
  });

  it("ghost at a node", () => {
    const tale = new Tale().add({ kind: "truth", room: "room", users: ["ann"] });
    tale.add({ kind: "there", source: "node-2", room: "room", users: ["ann", "bob"], members: 2 });
    expect(verdict(tale.over("e", []))).toEqual(["10: node-2 sees bob, who left"]);
  });

  it("second arrival, and a departure of nobody", () => {
    const joined = { presence: [{ user: "ann" }], members: 1 };
    const twice = new Tale().join("ann", "e:0", joined);
    for (const n of [2, 2]) twice.got("ann/1", { type: "presence", joined: [{ user: "bob" }], members: n });
    expect(verdict(twice.over("e", []))).toEqual(["10: ann in room: bob came, who was there"]);
    const left = new Tale()
      .join("ann", "e:0", joined)
      .got("ann/1", { type: "presence", left: [{ user: "cid" }], members: 1 });
    expect(verdict(left.over("e", []))).toEqual(["10: ann in room: cid left, who was not there"]);
  });

  it("delivery after a revocation", () => {
    const tale = new Tale().join("ann", "e:0").join("bob", "e:0");
    const path = "/v1/users/bob/connections?revoke=true";
    tale.add({ kind: "called", call: "r", actor: "operator", node: "node-1", method: "DELETE", path });
    tale.add({ kind: "answered", call: "r", status: 204, body: {} });
    tale.publish("m1", "e:1").message("ann/1", 1).message("bob/1", 1);
    expect(verdict(tale.over("e", ["m1"]))).toEqual(["11: bob got m1, published after its user was revoked"]);
  });

  it("delivery long after the node was no longer cut off, and by a node that never was", () => {
    const said = ["11: bob got m1, published after its user was revoked"];
    expect(verdict(bobIsRevoked({ laterMs: 8_000 }))).toEqual(said);
    expect(verdict(bobIsRevoked({ cutOff: "node-1" }))).toEqual(said);
  });

  it("welcome for a revoked token at a node that was cut off", () => {
    const tale = bobIsRevoked();
    tale.add({ kind: "opened", connection: "bob/2", actor: "bob", user: "bob", node: "node-2", tokenAt: 0 });
    tale.got("bob/2", { type: "welcome", user: "bob" });
    expect(verdict(tale)).toEqual(["11: bob was let in with a revoked token"]);
  });

  it("welcome for a revoked token", () => {
    const tale = new Tale().join("ann", "e:0");
    const path = "/v1/users/bob/connections?revoke=true";
    tale.add({ kind: "called", call: "r", actor: "operator", node: "node-1", method: "DELETE", path });
    tale.add({ kind: "answered", call: "r", status: 204, body: {} });
    tale.add({ kind: "opened", connection: "bob/1", actor: "bob", user: "bob", node: "node-1", tokenAt: 0 });
    tale.got("bob/1", { type: "welcome", user: "bob" });
    expect(verdict(tale.over("e", []))).toEqual(["11: bob was let in with a revoked token"]);
  });
});

describe("the checker finds also", () => {
  it("what was refused and is there", () => {
    const tale = plain().publish("m4", undefined).got("ann/1", { type: "error", re: "m4", code: "conflict" });
    tale.message("ann/1", 4).message("bob/1", 4);
    expect(verdict(tale.over("e", [...three, "m4"]))).toEqual(["5: m4 was refused, and is in room"]);
  });

  it("a message that is kept twice", () => {
    const tale = plain().publish("m3", "e:4");
    tale.message("ann/1", 4, "m3").message("bob/1", 4, "m3");
    expect(verdict(tale.over("e", [...three, "m3"]))).toEqual(["5: m3 is twice in room, at 3 and 4"]);
  });

  it("publishes of one connection in another order", () => {
    const tale = new Tale().join("ann", "e:0").publish("m1", undefined).publish("m2", undefined);
    for (const [re, offset] of [
      ["m1", 2],
      ["m2", 1],
    ] as const)
      tale.got("ann/1", { type: "ack", re, offset, cursor: `e:${offset}` });
    tale.message("ann/1", 1, "m2").message("ann/1", 2, "m1");
    expect(verdict(tale.over("e", ["m2", "m1"]))).toEqual(["6: ann sent m1 before m2, which stand at 2 and 1"]);
  });

  it("answers in another order than that of the requests", () => {
    const tale = new Tale().join("ann", "e:0").publish("m1", undefined).publish("m2", undefined);
    for (const offset of [2, 1]) tale.got("ann/1", { type: "ack", re: `m${offset}`, offset, cursor: `e:${offset}` });
    tale.message("ann/1", 1).message("ann/1", 2);
    expect(verdict(tale.over("e", ["m1", "m2"]))).toEqual(["6: ann was answered m2 before m1"]);
  });

  it("a publish that stands before one that was acknowledged before it was sent", () => {
    const tale = new Tale().join("ann", "e:0").join("bob", "e:0").publish("m1", "e:2").publish("m2", "e:1", "bob/1");
    for (const who of ["ann/1", "bob/1"]) tale.message(who, 1, "m2").message(who, 2, "m1");
    expect(verdict(tale.over("e", ["m2", "m1"]))).toEqual([
      "6: m2 is at 1, and was sent after m1 was acknowledged at 2",
    ]);
  });

  it("a resume from elsewhere, and one refused for no reason", () => {
    const elsewhere = plain().add({ kind: "ended", connection: "bob/1", by: "device" });
    elsewhere.join("bob", "e:3", { since: "e:2", recovered: true }, 2);
    expect(verdict(elsewhere.over("e", three))).toEqual(["7: bob in room was resumed from elsewhere than e:2"]);
    const refused = plain().add({ kind: "ended", connection: "bob/1", by: "device" });
    refused.join("bob", "e:3", { since: "e:2", recovered: false }, 2);
    expect(verdict(refused.over("e", three))).toEqual(["7: bob in room was refused a resume from e:2 for no reason"]);
  });

  it("a replay that promises too little", () => {
    const tale = plain().add({ kind: "ended", connection: "bob/1", by: "device" });
    tale.publish("m4", "e:4").message("ann/1", 4);
    tale.join("bob", "e:3", { since: "e:3", recovered: true, replay: 0 }, 2).message("bob/2", 4);
    expect(verdict(tale.over("e", [...three, "m4"]))).toEqual(["7: bob in room was promised 0 of 1 missed messages"]);
  });

  it("memory that grows", () => {
    const tale = plain();
    for (const rssBytes of [1, 2_000_000]) tale.add({ kind: "sample", node: "node-1", rssBytes });
    expect(verdict(tale.over("e", three))).toEqual(["12: node-1 grew by 2 MiB"]);
  });

  it("what is left, and that nobody looked", () => {
    const left = plain().over("e", three).add({ kind: "mark", mark: "gone" });
    expect(verdict(left)).toEqual(["13: nobody looked at what is left"]);
    left.add({ kind: "left", source: "node-1", counts: { fanfare_rooms: 1, fanfare_connections: 0 } });
    expect(verdict(left)).toEqual(["13: node-1: fanfare_rooms is 1 after all have gone"]);
  });

  it("a heartbeat that a clock moved", () => {
    const tale = plain().fault("clock").add({ kind: "ended", connection: "bob/1", by: "peer", code: 4201 });
    expect(verdict(tale.over("e", three))).toEqual(["14: bob was closed with 4201, and nothing had silenced it"]);
  });

  it("a node that dies, a code that no rule provides, publishes and devices that never come through", () => {
    const tale = plain()
      .add({ kind: "mark", mark: "died", who: ["node-1"] })
      .got("ann/1", { type: "error", code: "internal" })
      .add({ kind: "ended", connection: "bob/1", by: "peer", code: 1011 })
      .add({ kind: "mark", mark: "back", who: ["bob"] });
    expect(verdict(tale.over("e", three))).toEqual([
      "0: node-1 ended by itself",
      "0: an error internal",
      "0: a close with 1011",
      "9: not back in their rooms after all was healed: bob",
    ]);
  });

  it("a run that broke off", () => {
    expect(verdict(plain())).toEqual(["9: the run did not come to its end"]);
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
