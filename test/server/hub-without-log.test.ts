import { describe, expect, it } from "vitest";
import { type Backend, BackendUnavailable, type RoomListener } from "../../src/backends/backend.ts";
import { memory } from "../../src/backends/memory/index.ts";
import { createHub } from "../../src/server/hub.ts";
import { Gate } from "./support/backend.ts";
import { serve } from "./support/hub.ts";

/** Carries and keeps nothing; whoever asks it for a log gets an error that no test would pass with. */
function withoutLog(): Backend {
  const inner = memory();
  const never = (): Promise<never> => Promise.reject(new Error("asked for a log that there is not"));
  return {
    name: "fleeting",
    promises: { survives: "nothing", shared: false, log: false },
    open: (context) => inner.open(context),
    close: () => inner.close(),
    check: () => inner.check(),
    find: never,
    append: never,
    state: never,
    read: never,
    readBack: never,
    subscribe: (room, listener) => inner.subscribe(room, listener),
    relay: (room, text) => inner.relay(room, text),
    set: (key, value, ttlMs) => inner.set(key, value, ttlMs),
    get: (key) => inner.get(key),
    take: (key) => inner.take(key),
  };
}

describe("a hub on a backend without a log", () => {
  it("says in every room that nothing is kept, and gives neither cursors nor offsets (P-21)", async () => {
    const { connect, member } = await serve({ backend: withoutLog() });
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "a", since: "someepoch:7", history: 5 });
    const joined = await ann.expect({ type: "joined", re: "1", kept: false, recovered: false, replay: 0 });
    expect(joined).not.toHaveProperty("cursor");
    const bob = await member("bob", "a");
    bob.send({ type: "publish", id: "2", key: "k", room: "a", event: "said", data: "hi" });
    const message = await ann.expect({ type: "message", room: "a", event: "said", data: "hi", from: "bob" });
    expect(message).not.toHaveProperty("offset");
    const ack = await bob.until({ type: "ack", re: "2" });
    expect([Object.hasOwn(ack, "offset"), Object.hasOwn(ack, "cursor")]).toEqual([false, false]);
    bob.send({ type: "publish", id: "3", key: "k", room: "a", event: "said", data: "hi" });
    await bob.until({ type: "ack", re: "3", duplicate: true });
  });

  it("passes one of two with the same key that come at once over two connections, though the backend answers later (P-31)", async () => {
    const backend = withoutLog();
    const asked = new Gate();
    let asks = 0;
    const { get } = backend;
    backend.get = async (key) => {
      const kept = await get(key);
      if (key.startsWith("once:")) {
        if (++asks === 2) asked.open();
        await asked.passed;
      }
      return kept;
    };
    const { member } = await serve({ backend });
    const [one, two] = [await member("ann", "a"), await member("ann", "a")];
    for (const peer of [one, two]) peer.send({ type: "publish", id: "1", key: "k", room: "a", event: "e", data: 1 });
    const acks = [await one.until({ type: "ack", re: "1" }), await two.until({ type: "ack", re: "1" })];
    expect(acks.filter(({ duplicate }) => duplicate === true)).toHaveLength(1);
    one.send({ type: "publish", id: "2", key: "k", room: "a", event: "e", data: 2 });
    await one.until({ type: "error", re: "2", code: "conflict" });
  });

  it("passes the repeat of one that could not be passed on (P-33)", async () => {
    const backend = withoutLog();
    const { relay } = backend;
    let isAway = false;
    backend.relay = (room, text) =>
      isAway ? Promise.reject(new BackendUnavailable("a test has stopped it")) : relay(room, text);
    const { member } = await serve({ backend });
    const ann = await member("ann", "a");
    isAway = true;
    ann.send({ type: "publish", id: "1", key: "k", room: "a", event: "e", data: 1 });
    await ann.until({ type: "error", re: "1", code: "unavailable" });
    isAway = false;
    ann.send({ type: "publish", id: "2", key: "k", room: "a", event: "e", data: 1 });
    expect(await ann.until({ type: "ack", re: "2" })).not.toHaveProperty("duplicate");
  });

  it("tells its members by `gap` where messages may have been lost between nodes (P-35)", async () => {
    const backend = withoutLog();
    const { subscribe } = backend;
    const listeners: RoomListener[] = [];
    backend.subscribe = (room, listener) => {
      listeners.push(listener);
      return subscribe(room, listener);
    };
    const { hub, member } = await serve({ backend });
    const ann = await member("ann", "a");
    await hub.room("a").publish("said", 1);
    for (const listener of listeners) listener.interrupted?.();
    await hub.room("a").publish("said", 2);
    await ann.expect({ type: "message", data: 1 });
    expect(await ann.next()).toEqual({ type: "gap", room: "a", reason: "trimmed" });
    await ann.expect({ type: "message", data: 2 });
  });

  it("refuses clients the history, as in every room that keeps nothing, and gives the app an empty one", async () => {
    const { hub, connect } = await serve({ backend: withoutLog() });
    const ann = await connect("ann");
    ann.send({ type: "history", id: "1", room: "a", limit: 10 });
    await ann.expect({ type: "error", re: "1", code: "forbidden" });
    expect(await hub.room("a").history()).toEqual([]);
    await hub.room("a").publish("said", 1);
  });

  it("is refused where the hub's options are to keep messages, and says what to choose", () => {
    const make = (): unknown => createHub({ backend: withoutLog(), keep: { messages: 10 } });
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/keep is given, and the backend fleeting keeps no log: leave it out, or choose .*redis/);
    expect(() => createHub({ backend: withoutLog(), keep: {} })).not.toThrow();
  });

  it("is refused where one pattern of the contract is to keep messages, by its name", () => {
    const make = (keep: { messages: number } | false): unknown =>
      createHub({ backend: withoutLog(), rooms: { "live/:id": { keep: false }, "chat/:id": { keep } } });
    expect(() => make({ messages: 10 })).toThrow(/the rooms chat\/:id are to keep messages.*keep: false, or choose/);
    expect(() => make(false)).not.toThrow();
  });
});
