import { expect, it } from "vitest";
import type { MapLines, MapOwner } from "../../../src/server/cluster/map-owner.ts";
import type { MapMessage } from "../../../src/server/cluster/messages.ts";
import { SharedMap } from "../../../src/server/cluster/shared-map.ts";
import { FakeClock } from "../support/clock.ts";

const owner: MapOwner = {
  standing: (key) => key,
  entries: () => [],
  set: () => undefined,
  removed: () => undefined,
  endedForGood: () => undefined,
  together: (_, apply) => apply(),
};

/** A node `a` on which `gone` said goodbye; what it sends to others. */
function nodeA(): { map: SharedMap; sent: (readonly [to: string, message: MapMessage])[] } {
  const sent: (readonly [string, MapMessage])[] = [];
  const lines: MapLines = {
    node: "a",
    toAll: () => Promise.resolve(),
    toNode: (to, message) => void sent.push([to, message]),
    lives: (node) => node !== "gone",
    holdMs: (node) => (node === "gone" ? 10_000 : 0),
    inherited: () => true,
    left: () => [],
    nextLife: () => 1,
    unsettled: () => undefined,
    clock: new FakeClock(),
    later: (run) => run(),
    synced: () => undefined,
  };
  return { map: new SharedMap(owner, lines), sent };
}

it("what a node that has gone left is passed on by those who know it, and not by who has only heard that there was something", () => {
  const { map, sent } = nodeA();
  const leftOf = (): unknown[] => sent.filter(([to, { type }]) => to === "b" && type === "left");
  const asked: MapMessage = { type: "sync", from: "b", place: [1, 0], known: {} };
  map.receive({ type: "state", from: "c", place: [1, 0], part: 0, parts: 1, changes: [], peers: ["gone"] });
  map.receive(asked);
  expect(leftOf()).toEqual([]);
  map.receive({ type: "left", from: "c", node: "gone", holdMs: 9_000, changes: [{ key: "ann", value: 1 }] });
  map.receive(asked);
  expect(leftOf()).toEqual([["b", expect.objectContaining({ node: "gone", changes: [{ key: "ann", value: "ann" }] })]]);
});
