import { describe, expect, it } from "vitest";
import { check } from "../torture/check/index.ts";
import { showViolations } from "../torture/witness.ts";
import { figuresOf } from "./figures.ts";
import { showFlaps } from "./flaps.ts";
import { rollingRestart } from "./run.ts";

const clients = 500;
const drainMs = 4_000;

describe("three nodes behind nginx, restarted in turn while 500 clients talk", () => {
  it("lose nothing, show apps nothing twice, and nobody is seen to go", { timeout: 240_000 }, async () => {
    const rolling = await rollingRestart({ clients, drainMs, seed: 7 });
    expect(showViolations(check(rolling.records))).toBe("");
    expect(rolling.exitCodes).toEqual([0, 0, 0]);
    const figures = figuresOf(rolling);
    expect(showFlaps(figures.flaps, rolling)).toBe("");
    expect(figures.resets).toBe(0);
    expect(figures.appMessages).toBeGreaterThan(100);
    // Each node closes what it has evenly over the drain. At worst all clients are on one node.
    expect(figures.peakReconnects).toBeGreaterThan(10);
    expect(figures.peakReconnects).toBeLessThan((clients / (drainMs / 1000)) * 1.3);
  });
});
