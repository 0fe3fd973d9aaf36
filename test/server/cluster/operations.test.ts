import { describe, expect, it } from "vitest";
import type { openContract } from "../../../src/protocol/contract.ts";
import type { Identity } from "../../../src/server/auth/identity.ts";
import type { HubOptions } from "../../../src/server/options.ts";
import { Gate } from "../support/backend.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually, open, readToken, serve, writeToken, type Served } from "../support/hub.ts";
import { SharedEngine, type SharedNode } from "../support/shared-backend.ts";
import { settle } from "./nodes.ts";

interface Node extends Served<typeof openContract> {
  readonly way: SharedNode;
}

/** Hubs with sockets, over one engine. */
async function hubs(
  count: number,
  options: HubOptions<typeof openContract> = {},
): Promise<{ engine: SharedEngine; nodes: Node[] }> {
  const engine = new SharedEngine();
  const nodes: Node[] = [];
  for (let i = 0; i < count; i++) {
    const way = engine.node();
    nodes.push({ ...(await serve({ backend: way, ...options })), way });
  }
  return { engine, nodes };
}

describe("a user who is disconnected (P-80)", () => {
  it("is closed with 4003 on every node before the call resolves", async () => {
    const { nodes } = await hubs(3);
    const peers = await Promise.all(nodes.map((node) => node.member("ann", "r")));
    await nodes[0]!.hub.user("ann").disconnect();
    expect(nodes.map(({ hub }) => hub.user("ann").here.connections)).toEqual([[], [], []]);
    for (const peer of peers) await peer.expectClose(4003);
    expect(await nodes[1]!.hub.room("r").size()).toBe(0);
  });

  it("does not slip in with credentials that were being checked when they were revoked", async () => {
    const gate = new Gate();
    let asked = false;
    const auth = async ({ token }: { token: string }): Promise<Identity | undefined> => {
      const identity = readToken(token);
      if (token.includes("slow")) {
        asked = true;
        await gate.passed;
      }
      return identity;
    };
    const { nodes } = await hubs(2, { auth });
    const issuedAt = Date.now() - 1_000;
    const token = writeToken({ user: "ann", issuedAt, rooms: { slow: ["join"] } });
    // The revocation is read with the identity, so that the check is over, and held, when it comes.
    const get = nodes[1]!.way.get;
    let held = false;
    nodes[1]!.way.get = async (key) => {
      const kept = await get(key);
      if (key.includes("ann") && !held) {
        held = true;
        await read.passed;
      }
      return kept;
    };
    const read = new Gate();
    gate.open();
    const peer = await open(nodes[1]!.port, { query: { token } });
    await eventually(() => asked && held);
    await nodes[0]!.hub.user("ann").disconnect({ revoke: true });
    read.open();
    await peer.expect({ type: "error", code: "unauthorized" });
    await peer.expectClose(4001);
  });

  it("comes back where the revocation is taken back", async () => {
    const { nodes } = await hubs(2);
    await nodes[0]!.hub.user("ann").disconnect({ revoke: true });
    const peer = await open(nodes[1]!.port, { query: { token: "ann" } });
    await peer.expectClose(4001);
    await nodes[0]!.hub.user("ann").unrevoke();
    await nodes[1]!.connect("ann");
  });

  it("is found out on a node that was cut off, when it is back", async () => {
    const { nodes } = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    const ann = await b.connect({ user: "ann", issuedAt: Date.now() - 1_000 });
    const bob = await b.connect({ user: "bob", issuedAt: Date.now() - 1_000 });
    b.way.isCut = true;
    const asked = a.hub.user("ann").disconnect({ revoke: true });
    await asked;
    expect(b.hub.user("ann").here.connections).toHaveLength(1);
    expect(a.logged.join("\n")).toContain("nodes did not answer in time");
    b.way.restore();
    await ann.expectClose(4003);
    expect(await bob.settled()).toEqual([]);
  }, 10_000);

  it("rejects where the other nodes cannot be told, and is closed here all the same", async () => {
    const { nodes } = await hubs(2);
    const [a] = nodes as [Node, Node];
    const ann = await a.connect("ann");
    a.way.isCut = true;
    await expect(a.hub.user("ann").disconnect()).rejects.toThrow("cut");
    await ann.expectClose(4003);
  });
});

describe("a room on several nodes", () => {
  it("tells the whole of it on each, and on one that is not in it", async () => {
    const { nodes } = await hubs(3);
    const [a, b, c] = nodes as [Node, Node, Node];
    await a.member("ann", "r", { data: 1 });
    await b.member("ann", "r");
    await b.member("bob", "r");
    for (const { hub } of [a, b, c]) {
      expect((await hub.room("r").members()).sort((x, y) => (x.user < y.user ? -1 : 1))).toEqual([
        { user: "ann", data: 1 },
        { user: "bob", data: null },
      ]);
      expect(await hub.room("r").size()).toBe(2);
      expect(await hub.room("r").connections()).toHaveLength(3);
      expect(await hub.user("ann").connections()).toHaveLength(2);
    }
    expect(nodes.map(({ hub }) => hub.room("r").here.size)).toEqual([1, 2, 0]);
    expect(await c.hub.room("nobody").members()).toEqual([]);
  });

  it("lists all rooms on each node, page by page, each once", async () => {
    const { nodes } = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    for (const room of ["r/1", "r/3", "r/4"]) await a.member("ann", room);
    for (const room of ["r/2", "r/3"]) await b.member("bob", room);
    const first = await b.hub.rooms({ prefix: "r/", limit: 3 });
    expect(first).toEqual({
      rooms: [
        { room: "r/1", members: 1 },
        { room: "r/2", members: 1 },
        { room: "r/3", members: 2 },
      ],
      more: true,
    });
    expect(await a.hub.rooms({ after: "r/3" })).toEqual({ rooms: [{ room: "r/4", members: 1 }], more: false });
  });

  it("takes a user out on all nodes", async () => {
    const { nodes } = await hubs(3);
    const [a, b, c] = nodes as [Node, Node, Node];
    const peers = [await a.member("ann", "r"), await b.member("ann", "r")];
    await c.hub.room("r").remove("ann");
    for (const peer of peers) await peer.until({ type: "left", room: "r", reason: "removed" });
    expect(await c.hub.room("r").size()).toBe(0);
  });

  it("gives messages to the personal room on whatever node, and spends a ticket once over all", async () => {
    const { nodes } = await hubs(2);
    const [a, b] = nodes as [Node, Node];
    const ann = await a.member("ann", "@ann");
    await b.hub.user("ann").publish("mail", "hello");
    await ann.until({ type: "message", room: "@ann", data: "hello" });
    const { ticket } = await a.hub.tickets.create({ user: "bob" });
    const spent = await Promise.all(nodes.map(({ hub }) => hub.tickets.redeem(ticket)));
    expect(spent.filter((identity) => identity !== undefined)).toHaveLength(1);
  });
});

describe("the limit of a user's connections", () => {
  it("counts those on all nodes", async () => {
    const { nodes } = await hubs(3, { limits: { connectionsPerUser: 3 } });
    const [a, b, c] = nodes as [Node, Node, Node];
    const first = await a.connect("ann");
    await a.connect("ann");
    await b.connect("ann");
    await settle();
    const refused = await open(c.port, { query: { token: "ann" } });
    await refused.expectClose(4300);
    await c.connect("bob");
    first.socket.close(1000);
    await first.closed();
    await eventually(() => a.hub.user("ann").here.connections.length === 1);
    await settle();
    await c.connect("ann");
  });

  it("does not count those of a node that is gone", async () => {
    const { nodes } = await hubs(2, { limits: { connectionsPerUser: 1 } });
    const [a, b] = nodes as [Node, Node];
    await a.connect("ann");
    await a.hub.close({ drainMs: 0 });
    await b.connect("ann");
    expect(b.hub.user("ann").here.connections).toHaveLength(1);
  });
});

describe("a node that stands still for longer than its lease", () => {
  it("does what was ordered meanwhile as soon as it runs again, also where no other node was left", async () => {
    const engine = new SharedEngine();
    const clock = new FakeClock();
    const a = await serve({ backend: engine.node() }, { clock });
    const way = engine.node();
    const b = await serve({ backend: way }, { clock: new FakeClock() });
    const [ann, bob] = [await b.member("ann", "r"), await b.member("bob", "r")];
    way.pause();
    for (let second = 0; second < 20; second++) {
      clock.advance(1_000);
      await settle();
    }
    expect(a.logged.join("\n")).toContain("another node is gone");
    await a.hub.room("r").remove("ann");
    await a.hub.user("bob").disconnect();
    way.resume();
    expect(await ann.until({ type: "left" })).toMatchObject({ room: "r", reason: "removed" });
    await bob.expectClose(4003);
  });
});

describe("a node that is cut off", () => {
  it("is not ready, and says why", async () => {
    const clock = new FakeClock();
    const engine = new SharedEngine();
    const way = engine.node();
    const { hub } = await serve({ backend: way }, { clock });
    expect(await hub.ready()).toEqual({ ready: true, reasons: [] });
    // The log answers, and what is sent on does not come back.
    engine.relay = () => undefined;
    clock.advance(5_000);
    clock.advance(8_000);
    await settle();
    expect(await hub.ready()).toEqual({ ready: false, reasons: ["this node is cut off from the others"] });
  });
});

describe("rates that connections share", () => {
  it("count what was spent on other nodes", async () => {
    const clock = new FakeClock();
    const rates = { roomSendsPerS: 0.01, roomSendsBurst: 3 };
    const engine = new SharedEngine();
    const a = await serve({ backend: engine.node(), rates }, { clock });
    const b = await serve({ backend: engine.node(), rates }, { clock });
    const [ann, bob] = [await a.member("ann", "r"), await b.member("bob", "r")];
    for (let n = 0; n < 3; n++) ann.send({ type: "publish", id: `${n}`, room: "r", event: "e" });
    await ann.until({ type: "ack", re: "2" });
    clock.advance(100);
    await settle();
    bob.send({ type: "publish", id: "one more", room: "r", event: "e" });
    const refused = await bob.until({ type: "error", re: "one more" });
    expect(refused["code"]).toBe("rate_limited");
  });
});
