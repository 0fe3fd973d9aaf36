import { describe, expect, it } from "vitest";
import { graceMs, Observer, settle, TestNodes, type TestNode } from "./nodes.ts";

async function three(): Promise<{ nodes: TestNodes; a: TestNode; b: TestNode; c: TestNode; seen: Observer[] }> {
  const nodes = new TestNodes();
  const [a, b, c] = (await nodes.start("a", "b", "c")) as [TestNode, TestNode, TestNode];
  const seen: Observer[] = [];
  for (const node of [a, b, c]) seen.push(await watch(nodes, node));
  return { nodes, a, b, c, seen };
}

async function watch(nodes: TestNodes, node: TestNode, room = "r"): Promise<Observer> {
  const peer = await nodes.join(node, `at ${node.name}`, room, { presence: true });
  return new Observer(peer!);
}

/** What each has been told of a user. */
function told(seen: readonly Observer[], user: string): (string | undefined)[] {
  return seen.map((one) => one.hear().told.get(user));
}

describe("a user on several nodes (P-40)", () => {
  it("arrives once and leaves once, on three devices on three nodes", async () => {
    const { nodes, a, b, c, seen } = await three();
    const devices = [];
    for (const node of [a, b, c]) devices.push((await nodes.join(node, "ann", "r", { data: { name: "Ann" } }))!);
    expect(told(seen, "ann")).toEqual(["+", "+", "+"]);
    expect(seen.map(({ members }) => members)).toEqual([4, 4, 4]);
    for (const device of devices) {
      expect(told(seen, "ann")).toEqual(["+", "+", "+"]);
      device.says({ type: "leave", room: "r" });
      await settle();
    }
    expect(told(seen, "ann")).toEqual(["+-", "+-", "+-"]);
  });

  it("stands in the list of who joins first on another node", async () => {
    const nodes = new TestNodes();
    const [a, b] = (await nodes.start("a", "b")) as [TestNode, TestNode];
    await nodes.join(a, "ann", "r", { data: 1 });
    const bob = (await nodes.join(b, "bob", "r", { presence: true }))!;
    expect(bob.of("joined")).toMatchObject([
      {
        members: 2,
        presence: [
          { user: "ann", data: 1 },
          { user: "bob", data: null },
        ],
      },
    ]);
  });

  it("stands there too where the engine does not tell how many nodes there are", async () => {
    const nodes = new TestNodes();
    const [a, b, c] = (await nodes.start("a", "b", "c")) as [TestNode, TestNode, TestNode];
    for (const { way } of [a, b, c]) way.counts = false;
    await nodes.join(a, "ann", "r");
    await nodes.join(b, "bob", "r");
    expect((await watch(nodes, c)).names).toEqual(["ann", "at c", "bob"]);
  });

  it("stands there too where another node is slow to answer, or has nothing and answers first", async () => {
    const nodes = new TestNodes();
    const [a, b, c] = (await nodes.start("a", "b", "c")) as [TestNode, TestNode, TestNode];
    await nodes.join(a, "ann", "r");
    a.pause();
    const joining = [b, c].map((node) => nodes.join(node, `at ${node.name}`, "r", { presence: true }));
    for (let i = 0; i < 50 && b.clock.monotonic() < 600; i++) await settle();
    a.resume();
    for (const peer of await Promise.all(joining)) {
      const [{ presence } = {}] = peer!.of("joined");
      expect(presence).toContainEqual({ user: "ann", data: null });
    }
  });

  it("does not wait for a node that stands still, and hears of it later", async () => {
    const nodes = new TestNodes();
    const [a, b] = (await nodes.start("a", "b")) as [TestNode, TestNode];
    await nodes.join(a, "ann", "r");
    a.pause();
    const seen = await watch(nodes, b);
    expect(seen.names).toEqual(["at b"]);
    a.resume();
    await nodes.wait(2_000);
    expect(seen.hear().names).toEqual(["ann", "at b"]);
  });

  it("has one data: what was given last, wherever, and it outlives the connection that gave it", async () => {
    const { nodes, a, b, c, seen } = await three();
    const first = (await nodes.join(a, "ann", "r", { data: 1 }))!;
    const second = (await nodes.join(b, "ann", "r"))!;
    await nodes.wait(10);
    second.says({ type: "presence", room: "r", data: 2 });
    await settle();
    expect(seen.map((one) => one.hear().users.get("ann"))).toEqual([2, 2, 2]);
    await nodes.wait(10);
    first.says({ type: "presence", room: "r", data: 3 });
    await settle();
    first.says({ type: "leave", room: "r" });
    await nodes.wait(10);
    expect(seen.map((one) => one.hear().users.get("ann"))).toEqual([3, 3, 3]);
    const late = (await nodes.join(c, "late", "r", { presence: true }))!;
    expect(late.of("joined")[0]!["presence"]).toContainEqual({ user: "ann", data: 3 });
    await nodes.start("d");
    expect((await watch(nodes, nodes.all[3]!)).users.get("ann")).toBe(3);
  });

  it("has the same data everywhere where two nodes were given some at the same moment", async () => {
    const { nodes, a, b, seen } = await three();
    const first = (await nodes.join(a, "ann", "r"))!;
    const second = (await nodes.join(b, "ann", "r"))!;
    first.says({ type: "presence", room: "r", data: "from a" });
    second.says({ type: "presence", room: "r", data: "from b" });
    await settle();
    const data = seen.map((one) => one.hear().users.get("ann"));
    expect(new Set(data).size).toBe(1);
    expect(["from a", "from b"]).toContain(data[0]);
  });
});

describe("leaving and coming back (P-41)", () => {
  it("was never gone who vanishes on one node and is back on another within the grace", async () => {
    const { nodes, a, b, seen } = await three();
    (await nodes.join(a, "ann", "r"))!.vanish(graceMs);
    await nodes.wait(graceMs - 1_000);
    await nodes.join(b, "ann", "r");
    await nodes.wait(3 * graceMs);
    expect(told(seen, "ann")).toEqual(["+", "+", "+"]);
  });

  it("is gone everywhere after the grace who does not come back", async () => {
    const { nodes, a, seen } = await three();
    (await nodes.join(a, "ann", "r"))!.vanish(graceMs);
    await nodes.wait(graceMs - 500);
    expect(told(seen, "ann")).toEqual(["+", "+", "+"]);
    await nodes.wait(1_000);
    expect(told(seen, "ann")).toEqual(["+-", "+-", "+-"]);
  });

  it("is gone at once who leaves on the last connection, though another node waits for the user", async () => {
    const { nodes, a, b, seen } = await three();
    (await nodes.join(a, "ann", "r"))!.vanish(graceMs);
    const back = (await nodes.join(b, "ann", "r"))!;
    back.says({ type: "leave", room: "r" });
    await settle();
    expect(told(seen, "ann")).toEqual(["+-", "+-", "+-"]);
  });
});

describe("nodes that come and go", () => {
  it("takes the users of a node that was killed away within 20 s, once, everywhere", async () => {
    const { nodes, a, b, c, seen } = await three();
    await nodes.join(a, "ann", "r");
    await nodes.join(a, "bob", "r");
    await nodes.join(b, "bob", "r");
    a.kill();
    await nodes.wait(12_000);
    expect(told(seen.slice(1), "ann")).toEqual(["+", "+"]);
    await nodes.wait(8_000);
    expect(told(seen.slice(1), "ann")).toEqual(["+-", "+-"]);
    expect(told(seen.slice(1), "bob")).toEqual(["+", "+"]);
    expect([b.core.cluster!.others, c.core.cluster!.others]).toEqual([["c"], ["b"]]);
    await nodes.wait(60_000);
    expect(seen.slice(1).map((one) => one.hear().names)).toEqual([
      ["at b", "at c", "bob"],
      ["at b", "at c", "bob"],
    ]);
  });

  it("has nobody flap where a node goes away and its users come back elsewhere", async () => {
    const { nodes, a, b, seen } = await three();
    for (const user of ["ann", "bob"]) (await nodes.join(a, user, "r"))!.vanish(graceMs + 2_000);
    await a.leave();
    await nodes.wait(5_000);
    const back = (await nodes.join(b, "ann", "r"))!;
    await nodes.wait(6_000);
    expect(told(seen.slice(1), "ann")).toEqual(["+", "+"]);
    expect(told(seen.slice(1), "bob")).toEqual(["+", "+"]);
    await nodes.wait(3_000);
    expect(told(seen.slice(1), "bob")).toEqual(["+-", "+-"]);
    back.says({ type: "leave", room: "r" });
    await settle();
    expect(told(seen.slice(1), "ann")).toEqual(["+-", "+-"]);
  });

  it("has nobody flap to who joins a node that came up after another went away, while its users are between the two", async () => {
    const { nodes, a, b, seen } = await three();
    for (const user of ["ann", "bob"]) (await nodes.join(a, user, "r", { data: user }))!.vanish(graceMs + 2_000);
    await a.leave();
    await nodes.wait(2_000);
    const [d] = (await nodes.start("d")) as [TestNode];
    const fresh = await watch(nodes, d);
    expect(fresh.names).toEqual(["ann", "at a", "at b", "at c", "at d", "bob"]);
    expect(fresh.users.get("ann")).toBe("ann");
    await nodes.join(b, "ann", "r");
    await nodes.wait(9_000);
    expect(told([fresh, ...seen.slice(1)], "ann")).toEqual(["=", "+", "+"]);
    expect(told([fresh, ...seen.slice(1)], "bob")).toEqual(["=", "+", "+"]);
    // It is the hold of the node that went away, and it does not begin anew.
    await nodes.wait(2_000);
    expect(told([fresh, ...seen.slice(1)], "ann")).toEqual(["=", "+", "+"]);
    expect(told([fresh, ...seen.slice(1)], "bob")).toEqual(["=-", "+-", "+-"]);
  });

  it("ends that wait too where its user says goodbye", async () => {
    const { nodes, a, b } = await three();
    (await nodes.join(a, "ann", "r"))!.vanish(graceMs + 2_000);
    await a.leave();
    const [d] = (await nodes.start("d")) as [TestNode];
    const fresh = await watch(nodes, d);
    (await nodes.join(b, "ann", "r"))!.says({ type: "leave", room: "r" });
    await settle();
    expect(told([fresh], "ann")).toEqual(["=-"]);
    // Nor is the user brought back by who comes later still.
    const [e] = (await nodes.start("e")) as [TestNode];
    expect((await watch(nodes, e)).names).toEqual(["at a", "at b", "at c", "at d", "at e"]);
  });

  it("has nobody flap to who joins a node that opened the room while another said goodbye, and was not answered by it", async () => {
    const { nodes, a, b, c } = await three();
    (await nodes.join(a, "ann", "r"))!.vanish(graceMs + 2_000);
    const [d] = (await nodes.start("d")) as [TestNode];
    // They hear of both, and answer later; `a` hears of nothing any more.
    for (const node of [b, c]) node.pause();
    nodes.engine.passes = (_text, to) => to !== a.way;
    const joining = nodes.join(d, "at d", "r", { presence: true });
    await settle();
    await a.leave();
    for (const node of [b, c]) node.resume();
    const fresh = new Observer((await joining)!);
    expect(told([fresh], "ann")).toEqual(["="]);
    await nodes.join(b, "ann", "r");
    await nodes.wait(20_000);
    expect(told([fresh], "ann")).toEqual(["="]);
  });

  it("has nobody flap on a node that was behind on another when that said goodbye", async () => {
    const { nodes, a, b, c, seen } = await three();
    for (const user of ["ann", "bob"]) {
      nodes.engine.passes = (text, to) => to !== c.way || !text.includes("ann");
      (await nodes.join(a, user, "r"))!.vanish(graceMs + 2_000);
    }
    await a.leave();
    nodes.engine.passes = () => true;
    await nodes.wait(1_000);
    expect(seen[2]!.hear().names).toEqual(["ann", "at a", "at b", "at c", "bob"]);
    for (const user of ["ann", "bob"]) await nodes.join(b, user, "r");
    await nodes.wait(20_000);
    expect(told(seen.slice(1), "ann").join()).not.toContain("-");
    const names = ["ann", "at b", "at c", "bob"];
    expect(seen.slice(1).map((one) => one.names)).toEqual([names, names]);
  });

  it.each(["that was there", "that came up meanwhile"])(
    "has nobody flap in a room that the node which went away had alone, to who comes back first, to one %s",
    async (where) => {
      const { nodes, a, b, c } = await three();
      const users = ["ann", "bob", "cyd"];
      for (const user of users) (await nodes.join(a, user, "small", { data: user }))!.vanish(graceMs + 2_000);
      await a.leave();
      await nodes.wait(1_000);
      const first = where === "that was there" ? b : ((await nodes.start("d"))[0] as TestNode);
      const seen = new Observer((await nodes.join(first, "ann", "small", { presence: true }))!);
      expect(seen.names).toEqual(users);
      expect(seen.users.get("bob")).toBe("bob");
      await nodes.join(c, "bob", "small");
      await nodes.wait(8_000);
      expect(users.map((user) => seen.hear().told.get(user))).toEqual(["=", "=", "="]);
      await nodes.wait(4_000);
      expect(users.map((user) => seen.hear().told.get(user))).toEqual(["=", "=", "=-"]);
    },
  );

  it("has nobody flap where they come back to such a room at once, on two nodes", async () => {
    const { nodes, a, b, c } = await three();
    for (const user of ["ann", "bob"]) (await nodes.join(a, user, "small"))!.vanish(graceMs + 2_000);
    await a.leave();
    const joining = [
      nodes.join(b, "ann", "small", { presence: true }),
      nodes.join(c, "bob", "small", { presence: true }),
    ];
    for (const peer of await Promise.all(joining)) {
      const seen = new Observer(peer!);
      await nodes.wait(15_000);
      expect(["ann", "bob"].map((user) => seen.hear().told.get(user))).toEqual(["=", "="]);
    }
  });

  it("brings nobody back in such a room who said goodbye, and forgets it in time", async () => {
    const { nodes, a, b, c } = await three();
    for (const room of ["small", "never opened"]) {
      for (const user of ["ann", "bob"]) (await nodes.join(a, user, room))!.vanish(graceMs + 2_000);
    }
    await a.leave();
    for (const user of ["ann", "bob"]) (await nodes.join(b, user, "small"))!.says({ type: "leave", room: "small" });
    await settle();
    expect((await nodes.join(c, "cyd", "small", { presence: true }))!.of("joined")).toMatchObject([{ members: 1 }]);
    await nodes.wait(13_000);
    expect((await watch(nodes, c, "never opened")).names).toEqual(["at c"]);
  });

  it("waits for nobody on behalf of a node that went away", async () => {
    const { nodes, a, b, c } = await three();
    await a.leave();
    for (const { way } of [b, c]) way.counts = false;
    const [d] = (await nodes.start("d")) as [TestNode];
    d.way.counts = false;
    const since = d.clock.monotonic();
    await watch(nodes, d);
    expect(d.clock.monotonic()).toBe(since);
  });

  it("ends at once the wait for the users of a node that went away, where they say goodbye", async () => {
    const { nodes, a, b, seen } = await three();
    (await nodes.join(a, "ann", "r"))!.vanish(graceMs + 2_000);
    await a.leave();
    const back = (await nodes.join(b, "ann", "r"))!;
    back.says({ type: "leave", room: "r" });
    await settle();
    expect(told(seen.slice(1), "ann")).toEqual(["+-", "+-"]);
  });

  it("has nobody flap where a node stands still for less than its lease", async () => {
    const { nodes, a, b, seen } = await three();
    await nodes.join(a, "ann", "r");
    await nodes.join(b, "bob", "r");
    a.pause();
    await nodes.wait(9_000);
    a.resume();
    await nodes.wait(30_000);
    for (const user of ["ann", "bob"]) expect(told(seen, user)).toEqual(["+", "+", "+"]);
  });

  it("gives a node up that stands still for longer, and takes it back whole, without who has moved", async () => {
    const { nodes, a, b, seen } = await three();
    await nodes.join(a, "ann", "r");
    const moved = (await nodes.join(a, "bob", "r"))!;
    a.pause();
    await nodes.wait(20_000);
    expect(told(seen.slice(1), "ann")).toEqual(["+-", "+-"]);
    const cyd = (await nodes.join(b, "cyd", "r"))!;
    await nodes.join(b, "dan", "r");
    cyd.says({ type: "leave", room: "r" });
    await nodes.wait(15_000);
    a.resume();
    // Its client left while nobody read its socket.
    moved.vanish(graceMs);
    await nodes.wait(4_000);
    const names = ["ann", "at a", "at b", "at c", "dan"];
    expect(seen.map((one) => one.hear().names)).toEqual([names, names, names]);
    expect(told(seen.slice(1), "bob")).toEqual(["+-", "+-"]);
    await nodes.wait(30_000);
    expect(seen.map((one) => one.hear().names)).toEqual([names, names, names]);
    // To those on the node itself nobody flapped.
    expect([told([seen[0]!], "at b"), told([seen[0]!], "ann")].flat().join()).not.toContain("-");
  });

  it("has nobody flap in an outage of the engine, and is whole within 10 s after it", async () => {
    const { nodes, a, b, seen } = await three();
    const ann = (await nodes.join(a, "ann", "r"))!;
    await nodes.join(b, "bob", "r");
    for (const { way } of nodes.all) way.isCut = true;
    await nodes.wait(60_000);
    ann.says({ type: "leave", room: "r" });
    await nodes.wait(20_000);
    expect(told(seen.slice(1), "ann")).toEqual(["+", "+"]);
    for (const { way } of nodes.all) {
      way.restore();
      await nodes.wait(1_000);
    }
    await nodes.wait(8_000);
    expect(told(seen, "bob").map((texts) => texts?.includes("-"))).toEqual([false, false, false]);
    const names = ["at a", "at b", "at c", "bob"];
    expect(seen.map((one) => one.hear().names)).toEqual([names, names, names]);
  });

  it("is whole again where one node alone was cut off, whose own members did not see the others flap", async () => {
    const { nodes, a, b, seen } = await three();
    await nodes.join(a, "ann", "r");
    const bob = (await nodes.join(b, "bob", "r"))!;
    a.way.isCut = true;
    await nodes.wait(30_000);
    bob.says({ type: "leave", room: "r" });
    await nodes.join(b, "cyd", "r");
    expect(seen[0]!.hear().names).toEqual(["ann", "at a", "at b", "at c", "bob"]);
    expect(seen[1]!.hear().names).toEqual(["at b", "at c", "cyd"]);
    expect(a.core.cluster!.isWhole).toBe(false);
    a.way.restore();
    await nodes.wait(5_000);
    const names = ["ann", "at a", "at b", "at c", "cyd"];
    expect(seen.map((one) => one.hear().names)).toEqual([names, names, names]);
    expect(a.core.cluster!.isWhole).toBe(true);
  });
});

describe("a room that the last member on another node has just left", () => {
  /** Nodes whose rooms stay attached to the engine; they count among the others there. */
  async function lingering(...names: string[]): Promise<{ nodes: TestNodes; all: TestNode[] }> {
    const nodes = new TestNodes();
    const all = await nodes.start(...names);
    for (const { way } of all) way.lingers = true;
    return { nodes, all };
  }

  async function comeAndGo(nodes: TestNodes, node: TestNode, user = "gone"): Promise<void> {
    (await nodes.join(node, user, "r"))!.says({ type: "leave", room: "r" });
    await settle();
    expect(node.core.rooms.size).toBe(0);
  }

  /** Comes in without any time going by: nobody is waited for in vain. */
  async function comesAtOnce(nodes: TestNodes, node: TestNode): Promise<Observer> {
    const since = node.clock.monotonic();
    const seen = await watch(nodes, node);
    expect(node.clock.monotonic()).toBe(since);
    return seen;
  }

  it("is entered at once: that node answers that it has nothing", async () => {
    const { nodes, all } = await lingering("a", "b", "c");
    const [a, b, c] = all as [TestNode, TestNode, TestNode];
    await comeAndGo(nodes, b);
    await comeAndGo(nodes, c);
    const seen = await comesAtOnce(nodes, a);
    expect(seen.names).toEqual(["at a"]);
    expect(a.core.cluster!.syncs).toBeGreaterThanOrEqual(2);
  });

  it.each(["was there before", "came later"])(
    "is whole where the engine does not tell how many nodes there are: with one who %s",
    async (name) => {
      const { nodes, all } = await lingering("a", "b", "c");
      for (const { way } of all) way.counts = false;
      const [a, b, c] = all as [TestNode, TestNode, TestNode];
      if (name === "was there before") await nodes.join(c, name, "r");
      await comeAndGo(nodes, b);
      if (name === "came later") await nodes.join(c, name, "r");
      // What `b` says is there first.
      c.pause();
      const joining = nodes.join(a, "ann", "r", { presence: true });
      await settle();
      c.resume();
      const seen = new Observer((await joining)!);
      expect(seen.names).toEqual(["ann", name]);
    },
  );

  it("is not waited for on behalf of a node that has died", async () => {
    const { nodes, all } = await lingering("a", "b", "c");
    for (const { way } of all) way.counts = false;
    const [a, b, c] = all as [TestNode, TestNode, TestNode];
    await nodes.join(c, "dead", "r");
    await comeAndGo(nodes, b);
    c.kill();
    await nodes.wait(20_000);
    expect((await comesAtOnce(nodes, a)).names).toEqual(["at a"]);
  });

  it("is the same for who comes back, and for those who hear of it elsewhere", async () => {
    const { nodes, all } = await lingering("a", "b");
    const [a, b] = all as [TestNode, TestNode];
    await comeAndGo(nodes, b);
    const seen = await comesAtOnce(nodes, a);
    await nodes.join(b, "back", "r");
    expect(seen.hear().names).toEqual(["at a", "back"]);
    await nodes.wait(20_000);
    expect(told([seen], "back")).toEqual(["+"]);
  });

  it("leaves nothing behind once the engine lets go of it", async () => {
    const { nodes, all } = await lingering("a", "b");
    const [a, b] = all as [TestNode, TestNode];
    const timers = nodes.all.map(({ clock }) => clock.timers);
    await comeAndGo(nodes, a);
    await comeAndGo(nodes, b);
    await comeAndGo(nodes, a);
    for (const { way } of all) way.letGo();
    expect(nodes.engine.subscribed.has("r")).toBe(false);
    expect(nodes.all.map(({ clock }) => clock.timers)).toEqual(timers);
    expect(all.map(({ core }) => core.rooms.size)).toEqual([0, 0]);
  });
});

describe("texts that are lost", () => {
  it("finds out by the next change, and within 15 s without one", async () => {
    const { nodes, a, b, engine, seen } = await withEngine();
    engine.passes = (_text, to) => to !== b.way;
    await nodes.join(a, "ann", "r");
    engine.passes = () => true;
    expect(seen[1]!.hear().names).not.toContain("ann");
    await nodes.join(a, "bob", "r");
    await nodes.wait(250);
    expect(seen[1]!.hear().names).toEqual(["ann", "at a", "at b", "at c", "bob"]);
    engine.passes = (_text, to) => to !== b.way;
    await nodes.join(a, "cyd", "r");
    engine.passes = () => true;
    await nodes.wait(15_000);
    expect(seen[1]!.hear().names).toContain("cyd");
  });
});

describe("many rooms", () => {
  const names = Array.from({ length: 60 }, (_, i) => `room ${i}`);

  /** Two nodes with somebody of each in every room. */
  async function two(): Promise<{ nodes: TestNodes; a: TestNode; b: TestNode; seen: Observer[] }> {
    const nodes = new TestNodes({ requestsPerS: 1_000_000 });
    const [a, b] = (await nodes.start("a", "b")) as [TestNode, TestNode];
    const seen: Observer[] = [];
    for (const room of names) {
      await watch(nodes, a, room);
      seen.push(await watch(nodes, b, room));
    }
    return { nodes, a, b, seen };
  }

  it("are whole with the next beat where the last change in each was lost", async () => {
    const { nodes, a, b, seen } = await two();
    await nodes.wait(10_000);
    nodes.engine.passes = (_text, to) => to !== b.way;
    for (const room of names) await nodes.join(a, "ann", room);
    nodes.engine.passes = () => true;
    expect(seen.some((one) => one.hear().names.includes("ann"))).toBe(false);
    await nodes.wait(6_000);
    expect(seen.every((one) => one.hear().names.includes("ann"))).toBe(true);
  });

  it("are whole at once where a node was taken for dead by one that did not hear it", async () => {
    const { nodes, b, seen } = await two();
    nodes.engine.passes = (text, to) => to !== b.way || !text.includes('"from":"a"');
    await nodes.wait(17_000);
    expect(seen.every((one) => one.hear().names.join() === "at b")).toBe(true);
    nodes.engine.passes = () => true;
    await nodes.wait(5_500);
    expect(seen.every((one) => one.hear().names.join() === "at a,at b")).toBe(true);
  });
});

async function withEngine(): Promise<Awaited<ReturnType<typeof three>> & { engine: TestNodes["engine"] }> {
  const all = await three();
  return { ...all, engine: all.nodes.engine };
}

describe("a large room (P-43)", () => {
  it("counts 10,000 members over three nodes on each of them", async () => {
    const nodes = new TestNodes();
    const [a, b, c] = (await nodes.start("a", "b", "c")) as [TestNode, TestNode, TestNode];
    const seen = (await nodes.join(a, "seen", "r", { presence: true }))!;
    for (const [i, node] of [a, b].entries()) {
      for (let n = 0; n < 4_999; n++) node.core.connect(`${i} ${n}`).says({ type: "join", room: "r" });
    }
    await nodes.wait(3_000);
    expect(seen.of("presence").at(-1)).toEqual({ type: "presence", room: "r", members: 9_999 });
    const late = (await nodes.join(c, "late", "r", { presence: true }))!;
    expect(late.of("joined")).toMatchObject([{ members: 10_000 }]);
    expect(late.of("joined")[0]).not.toHaveProperty("presence");
    b.kill();
    await nodes.wait(20_000);
    expect(late.of("presence").at(-1)).toMatchObject({ members: 5_001 });
  }, 20_000);
});

describe("what is left", () => {
  it("is nothing: neither timers nor subscriptions of a room that all have left", async () => {
    const { nodes, a, b, c, seen } = await three();
    const timers = nodes.all.map(({ clock }) => clock.timers);
    const ann = (await nodes.join(a, "ann", "other"))!;
    const bob = (await nodes.join(b, "bob", "other"))!;
    await nodes.join(c, "bob", "other");
    ann.says({ type: "leave", room: "other" });
    bob.vanish(0);
    for (const peer of c.core.peers.values()) peer.says({ type: "leave", room: "other" });
    await nodes.wait(2_000);
    expect(nodes.engine.subscribed.has("other")).toBe(false);
    expect(nodes.all.map(({ clock }) => clock.timers)).toEqual(timers);
    expect(seen.map((one) => one.hear().members)).toEqual([3, 3, 3]);
  });

  it("costs a node that is not in the room nothing", async () => {
    const { nodes, a, b } = await three();
    await nodes.join(a, "ann", "other");
    const heard: string[] = [];
    nodes.engine.passes = (text, to) => (to === b.way ? heard.push(text) > 0 : true);
    for (let n = 0; n < 5; n++) await nodes.join(a, `user ${n}`, "other");
    expect(heard.filter((text) => text.includes("user"))).toEqual([]);
  });
});
