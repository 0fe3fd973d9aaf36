import { describe, expect, it } from "vitest";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { ask } from "./support/reader.ts";

describe("a stream over a rate is told by itself, for an EventSource to come back (P-73)", () => {
  it("by an address that opens too many", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ rates: { addressConnectsPerS: 0.1, addressConnectsBurst: 1 } }, { clock });
    const first = await ask(port, ["a"], { token: "ann" });
    await first.expect({ type: "welcome" });
    const refused = await ask(port, ["a"], { token: "ann" });
    expect(refused.status).toBe(200);
    const { retryMs, frame } = await refused.nextEvent();
    expect(frame).toMatchObject({ type: "error", code: "rate_limited", retry_after_ms: retryMs });
    // Never before there is room again.
    expect(retryMs).toBeGreaterThanOrEqual(10_000);
    await refused.ended();
    await eventually(() => hub.counts().connections === 1);
    clock.advance(10_000);
    const again = await ask(port, ["a"], { token: "ann" });
    await again.expect({ type: "welcome" });
  });

  it("by a user who asks too much", async () => {
    const { hub, port } = await serve(
      { rates: { userRequestsPerS: 0.02, userRequestsBurst: 1 } },
      { clock: new FakeClock() },
    );
    const first = await ask(port, ["a"], { token: "ann" });
    await first.until({ type: "joined" });
    const refused = await ask(port, ["a"], { token: "ann" });
    const { retryMs, frame } = await refused.nextEvent();
    expect([refused.status, frame["code"]]).toEqual([200, "rate_limited"]);
    expect(retryMs).toBeGreaterThanOrEqual(50_000);
    await refused.ended();
    expect(hub.room("a").here.connections).toHaveLength(1);
    const other = await ask(port, ["a"], { token: "bob" });
    await other.expect({ type: "welcome" });
  });

  it("and sockets and streams of an address count together", async () => {
    const rates = { addressConnectsPerS: 0.1, addressConnectsBurst: 2 };
    const { port, connect } = await serve({ rates }, { clock: new FakeClock() });
    await connect("ann");
    await (await ask(port, ["a"], { token: "ann" })).expect({ type: "welcome" });
    await (await ask(port, ["a"], { token: "ann" })).expect({ type: "error", code: "rate_limited" });
    await expect(connect("ann")).rejects.toThrow("refused with 429");
  });
});

describe("streams that are refused", () => {
  it("count among what was refused, by the status that they have or would have", async () => {
    const { hub, port } = await serve(
      { rates: { addressConnectsPerS: 0.1, addressConnectsBurst: 1 } },
      { clock: new FakeClock() },
    );
    await ask(port, []);
    await ask(port, ["a"], { token: "bad" });
    await ask(port, ["a"], { token: "ann" });
    const text = await hub.metrics();
    expect(text).toContain('fanfare_refused_upgrades_total{status="400"} 1');
    expect(text).toContain('fanfare_refused_upgrades_total{status="401"} 1');
    expect(text).toContain('fanfare_refused_upgrades_total{status="429"} 1');
    expect(text).toContain('fanfare_rate_limited_total{limit="connect"} 1');
  });
});
