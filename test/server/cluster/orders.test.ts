import { describe, expect, it } from "vitest";
import type { openContract } from "../../../src/protocol/contract.ts";
import type { Json } from "../../../src/protocol/json.ts";
import { Orders, type Again } from "../../../src/server/cluster/orders.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually, serve, type Served } from "../support/hub.ts";
import { SharedEngine, type SharedNode } from "../support/shared-backend.ts";
import { settle } from "./nodes.ts";

interface Node extends Served<typeof openContract> {
  readonly engine: SharedEngine;
  readonly way: SharedNode;
  readonly clock: FakeClock;
}

async function hubs(count: number): Promise<Node[]> {
  const engine = new SharedEngine();
  const nodes: Node[] = [];
  for (let i = 0; i < count; i++) {
    const way = engine.node();
    const clock = new FakeClock();
    nodes.push({ ...(await serve({ backend: way, limits: { graceMs: 60_000 } }, { clock })), engine, way, clock });
  }
  return nodes;
}

/** Time goes by on all nodes, in steps in which they hear each other. */
async function wait(nodes: readonly Node[], seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    for (const { clock } of nodes) clock.advance(1_000);
    await settle();
  }
}

/** The node hears nothing of the others, though it has the log, and so can take people in. */
function deafen({ engine, way }: Node, isDeaf = true): void {
  engine.passes = (_text, to) => !isDeaf || to !== way;
}

/** What the promise comes to, with the time that it takes. */
async function during<T>(nodes: readonly Node[], promise: Promise<T>): Promise<T> {
  await settle();
  await wait(nodes, 3);
  return promise;
}

const usersOf = ({ hub }: Node, room: string): Promise<string[]> =>
  hub
    .room(room)
    .members()
    .then((members) => members.map(({ user }) => user).toSorted());

describe("what a node was ordered while it was cut off", () => {
  it.each([
    ["for a moment", 0],
    ["until it was given up", 20],
  ])("is done as soon as that is back: %s", async (_how, seconds) => {
    const nodes = await hubs(3);
    const [a, b, c] = nodes as [Node, Node, Node];
    const [ann, bob, cyd] = [await b.member("ann", "r"), await b.connect("bob"), await b.member("cyd", "r")];
    await wait(nodes, 1);
    b.way.isCut = true;
    await wait(nodes, seconds);
    await during(nodes, Promise.all([a.hub.room("r").remove("ann"), c.hub.user("bob").disconnect()]));
    expect(b.hub.user("bob").here.connections).toHaveLength(1);
    b.way.restore();
    await wait(nodes, 2);
    expect(await ann.until({ type: "left" })).toMatchObject({ room: "r", reason: "removed" });
    await bob.expectClose(4003);
    expect(await usersOf(a, "r")).toEqual(["cyd"]);
    await wait(nodes, 20);
    expect(await cyd.settled()).toEqual([]);
  });

  it("is done where the engine lost it without a word, with the next beats", async () => {
    const nodes = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    const ann = await b.member("ann", "r");
    await wait(nodes, 1);
    deafen(b);
    await during(nodes, a.hub.room("r").remove("ann"));
    expect(a.logged.join()).toContain("nodes did not answer in time");
    deafen(b, false);
    await wait(nodes, 10);
    expect(await ann.until({ type: "left" })).toMatchObject({ reason: "removed" });
  });

  it("leaves alone who has come since, to it or to another, and who left and came again", async () => {
    const nodes = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    await a.member("watcher", "r");
    const [ann, bob, cyd] = [await b.member("ann", "r"), await b.member("bob", "r"), await b.member("cyd", "r")];
    await wait(nodes, 1);
    deafen(b);
    for (const user of ["ann", "bob", "cyd"]) await during(nodes, a.hub.room("r").remove(user));
    await during(nodes, a.hub.user("dan").disconnect());
    await wait(nodes, 1);
    // Her old membership goes, and the new one stays.
    const annElsewhere = await a.member("ann", "r");
    const bobAgain = await b.member("bob", "r");
    cyd.send({ type: "leave", room: "r" });
    cyd.send({ type: "join", room: "r" });
    await cyd.until({ type: "joined" });
    const dan = await b.connect("dan");
    await wait(nodes, 1);
    deafen(b, false);
    await wait(nodes, 10);
    await ann.until({ type: "left", reason: "removed" });
    await bob.until({ type: "left", reason: "removed" });
    await wait(nodes, 20);
    for (const peer of [annElsewhere, bobAgain, cyd, dan]) expect(await peer.settled()).toEqual([]);
    expect(await usersOf(a, "r")).toEqual(["ann", "bob", "cyd", "watcher"]);
    expect(await usersOf(b, "r")).toEqual(["ann", "bob", "cyd", "watcher"]);
  });

  it("does not end the grace of who came and vanished since, and ends that of who vanished before", async () => {
    const nodes = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    await a.member("watcher", "r");
    const [ann, bob] = [await b.member("ann", "r"), await b.member("bob", "r")];
    await wait(nodes, 1);
    deafen(b);
    for (const peer of [ann, bob]) peer.socket.terminate();
    await eventually(() => b.hub.counts().connections === 0);
    for (const user of ["ann", "bob"]) await during(nodes, a.hub.room("r").remove(user));
    await wait(nodes, 1);
    const again = await b.member("ann", "r");
    again.socket.terminate();
    await eventually(() => b.hub.counts().connections === 0);
    deafen(b, false);
    await wait(nodes, 10);
    expect(await usersOf(b, "r")).toEqual(["ann", "watcher"]);
  });

  it("is done where the node that ordered it was the one cut off, though the call was refused", async () => {
    const nodes = await hubs(3);
    const [a, b, c] = nodes as [Node, Node, Node];
    const [ann, bob] = [await b.member("ann", "r"), await c.connect("bob")];
    await wait(nodes, 1);
    a.way.isCut = true;
    await expect(a.hub.room("r").remove("ann")).rejects.toThrow("cut");
    await wait(nodes, 20);
    await expect(a.hub.user("bob").disconnect()).rejects.toThrow("cut");
    a.way.restore();
    await wait(nodes, 2);
    expect(await ann.until({ type: "left" })).toMatchObject({ reason: "removed" });
    await bob.expectClose(4003);
  });

  it("is not said again to nodes that have done it, nor after five minutes", async () => {
    const nodes = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    const said: string[] = [];
    const relay = a.way.relay.bind(a.way);
    a.way.relay = (room, text) => {
      if (text.includes('"call":"again"')) said.push(text);
      return relay(room, text);
    };
    await b.member("ann", "r");
    await a.hub.room("r").remove("ann");
    b.way.isCut = true;
    await wait(nodes, 20);
    b.way.restore();
    await wait(nodes, 2);
    expect(said).toEqual([]);
    const bob = await b.member("bob", "r");
    b.way.isCut = true;
    await wait(nodes, 1);
    await during(nodes, a.hub.room("r").remove("bob"));
    await wait(nodes, 300);
    b.way.restore();
    await wait(nodes, 20);
    expect(said).toEqual([]);
    expect(await bob.settled()).toEqual([]);
  });
});

describe("the orders that are kept", () => {
  function kept(): { orders: Orders; said: Again[]; hears: (does: boolean) => void; clock: FakeClock } {
    const clock = new FakeClock();
    const said: Again[] = [];
    let isHeard = true;
    const orders = new Orders(clock, (node, some) => {
      said.push(...some);
      return Promise.resolve({ answers: isHeard ? new Map([[node, []]]) : new Map(), silent: isHeard ? [] : [node] });
    });
    return { orders, said, clock, hears: (does) => (isHeard = does) };
  }

  it("are a thousand, the newest, each with its age", async () => {
    const { orders, said, clock } = kept();
    for (let n = 0; n < 1_200; n++) {
      orders.keep("remove", n);
      clock.advance(1);
    }
    orders.missed("b");
    orders.heard("b");
    await settle();
    expect(said.map((order) => order.with)).toEqual(Array.from({ length: 1_000 }, (_, n): Json => n + 200));
    expect([said[0]?.ageMs, said.at(-1)?.ageMs]).toEqual([1_000, 1]);
  });

  it("are said until they are answered, and then no more", async () => {
    const { orders, said, hears } = kept();
    orders.keep("remove", "x");
    orders.missed("b");
    hears(false);
    for (let n = 0; n < 2; n++) {
      orders.heard("b");
      await settle();
    }
    expect(said).toHaveLength(2);
    hears(true);
    for (let n = 0; n < 3; n++) {
      orders.heard("b");
      orders.missed("b");
      await settle();
    }
    expect(said).toHaveLength(3);
  });
});
