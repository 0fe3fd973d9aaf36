import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect, exchange, type Plain } from "./plain.ts";

/** In one write, so that all of it is read before reading can stop. */
function burst(peer: Plain, count: number): void {
  const stream = (peer.socket as unknown as { _socket: Socket })._socket;
  stream.cork();
  for (let i = 0; i < count; i++) peer.send("x");
  stream.uncork();
}

/** Turns the clock by steps until the condition holds; gives the milliseconds that it took. */
async function turnUntil(clock: FakeClock, holds: () => boolean, stepMs = 100): Promise<number> {
  let ms = 0;
  for (; !holds(); ms += stepMs) {
    if (ms > 600_000) throw new Error(`did not come true: ${holds.toString()}`);
    clock.advance(stepMs);
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  return ms;
}

describe("endpoints share the rates of users and addresses", () => {
  it("by being read more slowly: nothing is lost, nobody is closed, and others wait as well", async () => {
    const clock = new FakeClock();
    const options = { limits: { requestsPerS: 10_000 }, rates: { userRequestsPerS: 10, userRequestsBurst: 5 } };
    const { hub, port } = await serve(options, { clock });
    let got = 0;
    hub.endpoint("/e", { authenticate: true }, async ({ socket }) => {
      for await (const _ of socket) got++;
    });
    const url = `ws://127.0.0.1:${port}/e?token=ann`;
    const [one, two] = [await connect(url), await connect(url)];
    for (const peer of [one, two]) burst(peer, 50);
    await eventually(() => got >= 5);
    for (const peer of [one, two]) peer.send("later");
    await eventually(() => got >= 100);
    expect(got).toBe(100);
    // 95 over the burst, at ten a second, are made up for before one is read again.
    const ms = await turnUntil(clock, () => got === 102);
    expect(ms).toBeGreaterThanOrEqual(9_500);
    expect(ms).toBeLessThan(12_000);
    expect([one, two].map(({ socket }) => socket.readyState)).toEqual([1, 1]);
  });

  it("and wait on where another that shares the rate was faster", async () => {
    const clock = new FakeClock();
    const options = { limits: { requestsPerS: 10_000 }, rates: { userRequestsPerS: 10, userRequestsBurst: 5 } };
    const { hub, port } = await serve(options, { clock });
    const got = { one: 0, two: 0 };
    hub.endpoint("/:who", { authenticate: true }, async ({ socket, params }) => {
      for await (const _ of socket) got[params.who as "one" | "two"]++;
    });
    const url = (who: string): string => `ws://127.0.0.1:${port}/${who}?token=ann`;
    const [one, two] = [await connect(url("one")), await connect(url("two"))];
    burst(one, 6);
    await eventually(() => got.one === 6);
    burst(two, 50);
    await eventually(() => got.two === 50);
    one.send("later");
    // The rest of the first was told before the second sent anything, and was 200 ms.
    const ms = await turnUntil(clock, () => got.one === 7);
    expect(ms).toBeGreaterThanOrEqual(5_000);
    expect(ms).toBeLessThan(6_000);
  });

  it("over any long time, at no more than the rate", async () => {
    const clock = new FakeClock();
    const options = { limits: { requestsPerS: 10_000 }, rates: { addressRequestsPerS: 20, addressRequestsBurst: 10 } };
    const { hub, port } = await serve(options, { clock });
    let got = 0;
    hub.endpoint("/e", async ({ socket }) => {
      for await (const _ of socket) got++;
    });
    const url = `ws://127.0.0.1:${port}/e`;
    const peers = [await connect(url), await connect(url), await connect(url)];
    const feed = setInterval(() => {
      for (const peer of peers) if (peer.socket.bufferedAmount === 0) peer.send("x");
    }, 0);
    const seconds = 60;
    for (let ms = 0; ms < seconds * 1_000; ms += 50) {
      clock.advance(50);
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    clearInterval(feed);
    expect(got).toBeGreaterThan(50);
    // What one read of each socket held came in beyond it, and is made up for.
    expect(got).toBeLessThanOrEqual(20 * seconds + 10 + 3 * 200);
  });

  it("and a socket that ends while it is held back leaves no timer", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ rates: { addressRequestsPerS: 0.01, addressRequestsBurst: 1 } }, { clock });
    let got = 0;
    hub.endpoint("/e", async ({ socket }) => {
      for await (const _ of socket) got++;
    });
    const peer = await connect(`ws://127.0.0.1:${port}/e`);
    burst(peer, 3);
    await eventually(() => got === 3);
    const timers = clock.timers;
    peer.socket.terminate();
    clock.advance(1_000);
    hub.connection("none");
    expect(timers).toBeGreaterThan(0);
    await hub.close({ drainMs: 0 });
    await eventually(() => hub.counts().connections === 0);
    expect(clock.timers).toBe(0);
  });

  it("are refused with 429 and Retry-After before the upgrade where an address connects too fast", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({ rates: { addressConnectsPerS: 0.1, addressConnectsBurst: 1 } }, { clock });
    let opened = 0;
    hub.endpoint("/e", async ({ socket }) => {
      opened++;
      for await (const _ of socket);
    });
    const url = `ws://127.0.0.1:${port}/e`;
    await connect(url);
    await expect(connect(url)).rejects.toThrow("status 429: too many connects from this address");
    const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13";
    for (const path of ["/e", "/ws"]) {
      const upgrade = `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`;
      expect(await exchange(port, upgrade)).toMatch(/^HTTP\/1\.1 429 .*^Retry-After: 10\r$/ms);
    }
    expect(opened).toBe(1);
    clock.advance(10_000);
    await connect(url);
  });
});
