import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LogEntry, Subscription } from "../../src/backends/backend.ts";
import { Feeds } from "../../src/backends/feed/feeds.ts";
import { roomOf } from "../../src/testing/backend/tools.ts";
import { diary, FakeEngine } from "../support/fake-engine.ts";

const room = roomOf("r");
const checkMs = 4_000;
/** A check, and the time that it gives to what is on its way. */
const checkedMs = checkMs + 300;

let engine: FakeEngine;
let feeds: Feeds;
let logged: string[];

beforeEach(() => {
  vi.useFakeTimers();
  engine = new FakeEngine();
  logged = [];
  feeds = new Feeds(engine, { checkMs, log: (level, message) => void logged.push(`${level}: ${message}`) });
});

afterEach(() => {
  feeds.close();
  vi.useRealTimers();
});

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
const push = (entry: LogEntry, epoch = engine.epoch): void => feeds.push("r", entry, epoch);
const appendAndPush = (body: string): void => push(engine.append(body));

async function listen(name = "r"): Promise<{ told: string[]; subscription: Subscription }> {
  const { told, listener } = diary();
  return { told, subscription: await feeds.subscribe(roomOf(name), listener) };
}

describe("a feed tells each message once and in order", () => {
  it("of pushes that come as they should, without asking the log", async () => {
    engine.append("before");
    const { told, subscription } = await listen();
    expect(subscription.state).toEqual({ epoch: "one", head: 1, trimmed: 0 });
    engine.calls.length = 0;
    for (const body of ["a", "b", "c"]) appendAndPush(body);
    expect(told).toEqual(["a", "b", "c"]);
    expect(engine.calls).toEqual([]);
  });

  it("of pushes that come twice", async () => {
    const { told } = await listen();
    const [a, b] = [engine.append("a"), engine.append("b")];
    for (const entry of [a, a, b, a, b]) push(entry);
    await settle();
    expect(told).toEqual(["a", "b"]);
  });

  it("of pushes that come in another order", async () => {
    const { told } = await listen();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((body) => engine.append(body));
    for (const entry of [c, a, d, b]) push(entry!);
    await settle();
    expect(told).toEqual(["a", "b", "c", "d"]);
  });

  it("where some never come: they are read from the log before what follows them", async () => {
    const { told } = await listen();
    appendAndPush("a");
    engine.append("lost 1");
    engine.append("lost 2");
    appendAndPush("d");
    expect(told).toEqual(["a"]);
    await settle();
    expect(told).toEqual(["a", "lost 1", "lost 2", "d"]);
    appendAndPush("e");
    expect(told.at(-1)).toBe("e");
  });

  it("naming the one before it, also where an engine of which that was deleted does not know it any more", async () => {
    const heard: LogEntry[] = [];
    await feeds.subscribe(room, { appended: (entry) => void heard.push(entry), relayed: () => undefined });
    appendAndPush("a");
    engine.head = 6;
    push({ ...engine.append("b"), prev: 1 });
    engine.trim(2);
    engine.head = 8;
    push({ ...engine.append("c"), prev: 0 });
    await settle();
    expect(heard.map(({ offset, prev = offset - 1 }) => [offset, prev])).toEqual([
      [1, 0],
      [7, 1],
      [9, 7],
    ]);
  });

  it("where a thousand are missing, page by page", async () => {
    const { told } = await listen();
    const all = Array.from({ length: 1_000 }, (_, i) => engine.append(String(i)).body);
    appendAndPush("last");
    await settle();
    expect(told).toEqual([...all, "last"]);
    expect(engine.calls.filter((call) => call.startsWith("read"))).toEqual([
      "read 0",
      "read 256",
      "read 512",
      "read 768",
    ]);
  });

  it("while others are pushed during the repair, however many", async () => {
    const { told } = await listen();
    engine.append("lost");
    let more = 3;
    engine.meanwhile = () => {
      // One lost in between each time, so that the repair has to look again.
      if (more-- > 0) engine.append(`lost ${more}`);
      for (let i = 0; i < 700; i++) appendAndPush(`${more}/${i}`);
      if (more <= 0) engine.meanwhile = undefined;
    };
    appendAndPush("first");
    await settle();
    expect(told).toEqual(engine.entries.map(({ body }) => body));
    expect(told.length).toBeGreaterThan(2_000);
  });

  it("where the numbers of the engine have holes", async () => {
    const { told } = await listen();
    push({ offset: 4, prev: 0, body: "a", at: 0 });
    push({ offset: 9, prev: 4, body: "b", at: 0 });
    expect(told).toEqual(["a", "b"]);
    engine.head = 30;
    engine.entries = [
      { offset: 17, prev: 9, body: "lost", at: 0 },
      { offset: 30, prev: 17, body: "d", at: 0 },
    ];
    push(engine.entries[1]!);
    await settle();
    expect(told).toEqual(["a", "b", "lost", "d"]);
  });

  it("where the push is of something that the log does not hold: the log's word counts", async () => {
    const { told } = await listen();
    push({ offset: 99, body: "nowhere", at: 0 });
    await settle();
    expect(told).toEqual([]);
    appendAndPush("a");
    expect(told).toEqual(["a"]);
    expect(engine.calls.filter((call) => call === "state").length).toBeLessThan(5);
  });
});

describe("the check", () => {
  it("finds a last message that got lost, with one request for all rooms", async () => {
    const first = await listen();
    const second = await listen("another");
    engine.append("lost");
    engine.calls.length = 0;
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect([first.told, second.told]).toEqual([["lost"], ["lost"]]);
    expect(engine.calls.filter((call) => call.startsWith("heads"))).toEqual(["heads 2"]);
  });

  it("asks nothing more where nothing is missing, nor where it is only on its way", async () => {
    const { told } = await listen();
    const late = engine.append("late");
    engine.calls.length = 0;
    await vi.advanceTimersByTimeAsync(checkMs + 100);
    push(late);
    await vi.advanceTimersByTimeAsync(checkMs);
    expect(told).toEqual(["late"]);
    expect(engine.calls).toEqual(["heads 1", "heads 1"]);
  });

  it("goes on after the engine was away", async () => {
    const { told } = await listen();
    engine.append("lost");
    engine.isAway = true;
    await vi.advanceTimersByTimeAsync(checkedMs * 2);
    expect(told).toEqual([]);
    engine.isAway = false;
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect(told).toEqual(["lost"]);
    expect(logged).toEqual([]);
  });
});

describe("a repair during which the engine goes away", () => {
  it("drops nothing and tells nothing out of order; the next check ends it", async () => {
    const { told } = await listen();
    engine.append("lost");
    engine.meanwhile = (what) => {
      if (what === "state") engine.isAway = true;
    };
    appendAndPush("b");
    await settle();
    appendAndPush("c");
    await settle();
    expect(told).toEqual([]);
    engine.isAway = false;
    engine.meanwhile = undefined;
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect(told).toEqual(["lost", "b", "c"]);
  });
});

describe("a log with another epoch", () => {
  it("that went on from an earlier head is announced, then told from there", async () => {
    const { told } = await listen();
    for (const body of ["a", "b", "c"]) appendAndPush(body);
    engine.fork("two", 1);
    appendAndPush("b'");
    appendAndPush("c'");
    await settle();
    appendAndPush("d'");
    expect(told).toEqual(["a", "b", "c", "jump epoch two:1", "b'", "c'", "d'"]);
  });

  it("that took over more than was told goes on at what was told", async () => {
    const { told } = await listen();
    appendAndPush("a");
    engine.append("lost");
    engine.fork("two", 2);
    appendAndPush("c'");
    await settle();
    expect(told).toEqual(["a", "jump epoch two:1", "lost", "c'"]);
  });

  it("that lost everything is told from its beginning", async () => {
    const { told } = await listen();
    for (const body of ["a", "b", "c"]) appendAndPush(body);
    engine.flush("two");
    appendAndPush("new a");
    appendAndPush("new b");
    await settle();
    expect(told).toEqual(["a", "b", "c", "jump epoch two:0", "new a", "new b"]);
  });

  it("of which nothing was pushed yet is found by the check", async () => {
    const { told } = await listen();
    appendAndPush("a");
    engine.flush("two");
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect(told).toEqual(["a", "jump epoch two:0"]);
  });

  it("does not let late pushes of the old one through", async () => {
    const { told } = await listen();
    appendAndPush("a");
    const late = engine.append("late");
    engine.fork("two", 1);
    appendAndPush("b'");
    await settle();
    push(late, "one");
    await settle();
    expect(told).toEqual(["a", "jump epoch two:1", "b'"]);
  });

  it("that begins in the midst of a repair is announced before anything of it", async () => {
    const { told } = await listen();
    engine.append("lost");
    engine.meanwhile = (what) => {
      if (what === "state") return;
      engine.meanwhile = undefined;
      engine.flush("two");
      appendAndPush("new");
    };
    appendAndPush("b");
    await settle();
    expect(told).toEqual(["jump epoch two:0", "new"]);
  });
});

describe("a log that was trimmed while this node was behind", () => {
  it("is announced, and told from there", async () => {
    const { told } = await listen();
    for (const body of ["a", "b", "c", "d"]) engine.append(body);
    engine.trim(2);
    appendAndPush("e");
    await settle();
    expect(told).toEqual(["jump trimmed one:2", "c", "d", "e"]);
  });

  it("during the repair, too", async () => {
    const { told } = await listen();
    for (const body of ["a", "b", "c"]) engine.append(body);
    engine.meanwhile = (what) => {
      if (what === "read") engine.trim(engine.entries.length > 3 ? 2 : 0);
    };
    appendAndPush("d");
    await settle();
    expect(told).toEqual(["jump trimmed one:2", "c", "d"]);
  });

  it("to nothing", async () => {
    const { told } = await listen();
    for (const body of ["a", "b"]) engine.append(body);
    engine.trim(2);
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect(told).toEqual(["jump trimmed one:2"]);
  });
});

describe("sync", () => {
  it("resolves when all that the log held at the call was told", async () => {
    const { told, subscription } = await listen();
    engine.append("lost");
    expect(await subscription.sync()).toEqual({ epoch: "one", head: 1, trimmed: 0 });
    expect(told).toEqual(["lost"]);
  });

  it("does not take a look for its own that began before the call", async () => {
    const { subscription } = await listen();
    let second: Promise<unknown> | undefined;
    engine.meanwhile = () => {
      engine.meanwhile = undefined;
      // The first one's look is answered already, without this.
      engine.append("lost");
      second = subscription.sync();
    };
    expect(await subscription.sync()).toMatchObject({ head: 0 });
    expect(await second).toMatchObject({ head: 1 });
  });

  it("is one request for all who call at once", async () => {
    const { subscription } = await listen();
    engine.calls.length = 0;
    await Promise.all(Array.from({ length: 10 }, () => subscription.sync()));
    expect(engine.calls).toEqual(["state", "state"]);
  });

  it("ends under traffic that never does, and holds up nothing that is pushed", async () => {
    const { told, subscription } = await listen();
    let hidden = 0;
    engine.meanwhile = () => {
      appendAndPush("next");
      hidden = engine.head - told.length;
    };
    for (let i = 0; i < 20; i++) await subscription.sync();
    expect([told.length, hidden]).toEqual([20, 0]);
  });

  it("rejects where the engine is away", async () => {
    const { subscription } = await listen();
    engine.isAway = true;
    await expect(subscription.sync()).rejects.toMatchObject({ name: "BackendUnavailable" });
    engine.isAway = false;
    await expect(subscription.sync()).resolves.toMatchObject({ head: 0 });
  });
});

describe("subscriptions", () => {
  it("begin right after their state, while others are pushed", async () => {
    const pushing = engine.append("before");
    engine.meanwhile = () => {
      engine.meanwhile = undefined;
      push(pushing);
      appendAndPush("meanwhile");
    };
    const first = await listen();
    appendAndPush("after");
    const second = await listen();
    appendAndPush("last");
    expect(first.subscription.state.head).toBe(2);
    expect(first.told).toEqual(["after", "last"]);
    expect([second.subscription.state.head, second.told]).toEqual([3, ["last"]]);
  });

  it("share one attachment, which ends some seconds after the last has left", async () => {
    const both = await Promise.all([listen(), listen()]);
    expect(engine.calls.filter((call) => call === "attach")).toEqual(["attach"]);
    for (const { subscription } of both) subscription.close();
    both[0].subscription.close();
    await vi.advanceTimersByTimeAsync(4_900);
    expect(engine.calls).not.toContain("detach");
    const { told, subscription } = await listen();
    await vi.advanceTimersByTimeAsync(20_000);
    appendAndPush("a");
    expect(told).toEqual(["a"]);
    subscription.close();
    appendAndPush("b");
    expect(told).toEqual(["a"]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(engine.calls.filter((call) => call.includes("tach"))).toEqual(["attach", "detach"]);
    expect(feeds.names()).toEqual([]);
  });

  it("give the one who has left the texts as long as they stay attached, and nobody listens", async () => {
    const heard: string[] = [];
    const leave = (subscription: Subscription, who: string): void =>
      subscription.close((text) => heard.push(`${who} ${text}`));
    const [first, second] = [await listen(), await listen()];
    leave(first.subscription, "first");
    feeds.relayed("r", "a");
    leave(second.subscription, "second");
    feeds.relayed("r", "b");
    appendAndPush("c");
    await vi.advanceTimersByTimeAsync(4_000);
    const third = await listen();
    feeds.relayed("r", "d");
    leave(third.subscription, "third");
    feeds.relayed("r", "e");
    await vi.advanceTimersByTimeAsync(4_900);
    feeds.relayed("r", "f");
    await vi.advanceTimersByTimeAsync(200);
    feeds.relayed("r", "g");
    expect(heard).toEqual(["second b", "third e", "third f"]);
    expect(third.told).toEqual(["~d"]);
    expect(feeds.names()).toEqual([]);
  });

  it("leave no timer behind when all is closed", async () => {
    const { subscription } = await listen();
    await listen("another");
    subscription.close();
    feeds.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that cannot be made leave nothing behind", async () => {
    engine.isAway = true;
    await expect(listen()).rejects.toMatchObject({ name: "BackendUnavailable" });
    expect(feeds.names()).toEqual([]);
    engine.isAway = false;
    const { told } = await listen();
    appendAndPush("a");
    expect(told).toEqual(["a"]);
  });

  it("of a room without a log ask for no log", async () => {
    const { told, listener } = diary();
    const subscription = await feeds.subscribe(roomOf("signals", { messages: 0, ms: 0 }), listener);
    feeds.relayed("signals", "hello");
    expect(await subscription.sync()).toEqual({ epoch: "", head: 0, trimmed: 0 });
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect(told).toEqual(["~hello"]);
    expect(engine.calls).toEqual(["attach"]);
    expect(await subscription.others()).toBe(2);
  });

  it("learn of an interruption after what they missed", async () => {
    const { told } = await listen();
    engine.append("lost");
    await feeds.restored();
    appendAndPush("b");
    expect(told).toEqual(["lost", "interrupted", "b"]);
  });

  it("get calls that a listener causes from inside a jump after that jump", async () => {
    const { told, listener } = diary();
    await feeds.subscribe(room, { ...listener, jumped: () => feeds.relayed("r", "from inside") });
    const second = await listen();
    appendAndPush("a");
    engine.flush("two");
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect(told).toEqual(["a", "~from inside"]);
    expect(second.told).toEqual(["a", "jump epoch two:0", "~from inside"]);
  });
});

describe("where pushes did not arrive, others may have said what must not be told any more:", () => {
  let done: () => void;
  let asked: number;

  beforeEach(() => {
    asked = 0;
    feeds.close();
    const missed = (): Promise<void> => new Promise((resolve) => ((done = resolve), asked++));
    feeds = new Feeds(engine, { checkMs, missed, log: (level, message) => void logged.push(`${level}: ${message}`) });
  });

  it("nothing is told before that was seen to, then all of it, in order", async () => {
    const { told } = await listen();
    appendAndPush("a");
    feeds.lost();
    engine.append("lost");
    const restored = feeds.restored();
    appendAndPush("c");
    feeds.relayed("r", "signal");
    await vi.advanceTimersByTimeAsync(1_000);
    expect([told, asked]).toEqual([["a"], 1]);
    done();
    await restored;
    expect(told).toEqual(["a", "~signal", "lost", "c", "interrupted"]);
  });

  it("in a room without a log the interruption is told at its place: once, before what came since", async () => {
    const { told, listener } = diary();
    await feeds.subscribe(roomOf("signals", { messages: 0, ms: 0 }), listener);
    feeds.relayed("signals", "before");
    feeds.lost();
    const restored = feeds.restored();
    feeds.relayed("signals", "since");
    done();
    await restored;
    expect(told).toEqual(["~before", "interrupted", "~since"]);
  });

  it("pushes that are lost again before that was seen to are waited for anew", async () => {
    const { told } = await listen();
    feeds.lost();
    const first = feeds.restored();
    await settle();
    const doneFirst = done;
    feeds.lost();
    doneFirst();
    engine.append("after a revocation that this node has not heard");
    appendAndPush("b");
    await first;
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect([told, asked]).toEqual([[], 1]);
    const second = feeds.restored();
    await settle();
    expect([told, asked]).toEqual([[], 2]);
    done();
    await second;
    expect(told).toEqual(["after a revocation that this node has not heard", "b", "interrupted"]);
  });

  it("what takes too long is not waited for, and the log says so", async () => {
    const { told } = await listen();
    feeds.lost();
    engine.append("lost");
    const restored = feeds.restored();
    await vi.advanceTimersByTimeAsync(5_000);
    await restored;
    expect(told).toEqual(["lost", "interrupted"]);
    expect(logged).toEqual([expect.stringMatching(/^warn: what other nodes said/)]);
  });

  it("a last message that only the check finds waits for it, too", async () => {
    const { told } = await listen();
    engine.append("lost");
    await vi.advanceTimersByTimeAsync(checkedMs);
    expect([told, asked]).toEqual([[], 1]);
    done();
    await settle();
    expect(told).toEqual(["lost"]);
  });

  it("meanwhile a join is told that the log cannot be read now", async () => {
    const { subscription } = await listen();
    feeds.lost();
    const sync = subscription.sync().catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await sync).toMatchObject({ name: "BackendUnavailable" });
  });
});
