import { afterEach, describe, expect, it, vi } from "vitest";
import { hostPlatform, wakefulClock } from "../../src/client/browser.ts";

describe("the clock", () => {
  const times = { monotonic: 500, wall: 1_000_000 };
  const clock = wakefulClock(
    () => times.monotonic,
    () => times.wall,
  );
  const pass = (monotonic: number, wall: number): number => {
    times.monotonic += monotonic;
    times.wall += wall;
    return clock();
  };

  it("counts what passes, and the time that the machine slept, and never goes back", () => {
    const start = clock();
    expect(pass(100, 100) - start).toBe(100);
    expect(pass(0, 3_600_000) - start).toBe(3_600_100);
    expect(pass(100, -7_200_000) - start).toBe(3_600_200);
    expect(pass(100, 100) - start).toBe(3_600_300);
  });

  it("does not run ahead by the wall clock's coarse steps", () => {
    const start = clock();
    for (let i = 0; i < 1_000; i++) pass(0.1, i % 10 === 0 ? 1 : 0);
    expect(clock() - start).toBeCloseTo(100);
  });
});

describe("keys", () => {
  it("are long enough to name an anonymous user, and never the same", () => {
    const { randomKey } = hostPlatform();
    const keys = Array.from({ length: 1_000 }, randomKey);
    for (const key of keys) expect(key).toMatch(/^[0-9-]{22,64}$/);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("the page's news", () => {
  afterEach(() => vi.unstubAllGlobals());

  function page(visibilityState = "visible", onLine = true) {
    const target = new EventTarget();
    vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
    vi.stubGlobal("removeEventListener", target.removeEventListener.bind(target));
    vi.stubGlobal("document", { visibilityState });
    vi.stubGlobal("navigator", { onLine });
    const news: string[] = [];
    const off = hostPlatform().watch((told) => news.push(told));
    const happens = (type: string, fields = {}) => target.dispatchEvent(Object.assign(new Event(type), fields));
    return { news, happens, off };
  }

  it("is the network's, at the start and later", () => {
    const { news, happens } = page("visible", false);
    happens("online");
    happens("offline");
    expect(news).toEqual(["down", "up", "down"]);
  });

  it("is that it is seen again, not that it is hidden", () => {
    const seen = page();
    seen.happens("visibilitychange");
    expect(seen.news).toEqual(["up", "look"]);
    const hidden = page("hidden");
    hidden.happens("visibilitychange");
    expect(hidden.news).toEqual(["up"]);
  });

  it("is that it goes into the page cache and comes out, not that it ends or begins", () => {
    const { news, happens } = page();
    happens("pagehide", { persisted: false });
    happens("pageshow", { persisted: false });
    expect(news).toEqual(["up"]);
    happens("pagehide", { persisted: true });
    happens("pageshow", { persisted: true });
    expect(news).toEqual(["up", "freeze", "look"]);
  });

  it("is heard no more once undone", () => {
    const { news, happens, off } = page();
    off();
    happens("online");
    expect(news).toEqual(["up"]);
  });

  it("is none in Node, and no error either", () => {
    const news: string[] = [];
    hostPlatform().watch((told) => news.push(told))();
    expect(news).toEqual(["up"]);
  });
});
