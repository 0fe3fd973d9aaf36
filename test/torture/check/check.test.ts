import { describe, expect, it } from "vitest";
import { plain, Tale, verdict } from "./tale.ts";

const three = ["m1", "m2", "m3"];

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
