import { describe, expect, it } from "vitest";
import { Tale, verdict } from "./tale.ts";

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

describe("of a revocation, the checker", () => {
  it("allows what a node that was cut off tells a moment after it no longer is", () => {
    expect(verdict(bobIsRevoked())).toEqual([]);
  });

  it("finds a delivery after it", () => {
    const tale = new Tale().join("ann", "e:0").join("bob", "e:0");
    const path = "/v1/users/bob/connections?revoke=true";
    tale.add({ kind: "called", call: "r", actor: "operator", node: "node-1", method: "DELETE", path });
    tale.add({ kind: "answered", call: "r", status: 204, body: {} });
    tale.publish("m1", "e:1").message("ann/1", 1).message("bob/1", 1);
    expect(verdict(tale.over("e", ["m1"]))).toEqual(["11: bob got m1, published after its user was revoked"]);
  });

  it("finds a delivery long after the node was no longer cut off, and by a node that never was", () => {
    const said = ["11: bob got m1, published after its user was revoked"];
    expect(verdict(bobIsRevoked({ laterMs: 8_000 }))).toEqual(said);
    expect(verdict(bobIsRevoked({ cutOff: "node-1" }))).toEqual(said);
  });

  it("finds a welcome for a revoked token at a node that was cut off", () => {
    const tale = bobIsRevoked();
    tale.add({ kind: "opened", connection: "bob/2", actor: "bob", user: "bob", node: "node-2", tokenAt: 0 });
    tale.got("bob/2", { type: "welcome", user: "bob" });
    expect(verdict(tale)).toEqual(["11: bob was let in with a revoked token"]);
  });

  it("finds a welcome for a revoked token", () => {
    const tale = new Tale().join("ann", "e:0");
    const path = "/v1/users/bob/connections?revoke=true";
    tale.add({ kind: "called", call: "r", actor: "operator", node: "node-1", method: "DELETE", path });
    tale.add({ kind: "answered", call: "r", status: 204, body: {} });
    tale.add({ kind: "opened", connection: "bob/1", actor: "bob", user: "bob", node: "node-1", tokenAt: 0 });
    tale.got("bob/1", { type: "welcome", user: "bob" });
    expect(verdict(tale.over("e", []))).toEqual(["11: bob was let in with a revoked token"]);
  });
});
