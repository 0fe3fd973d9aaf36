import { array, assert, asyncProperty, constantFrom, integer, record } from "fast-check";
import { describe, expect, it } from "vitest";
import type { CorePeer } from "../support/core.ts";
import { graceMs, Observer, settle, TestNodes, type TestNode } from "./nodes.ts";

interface Step {
  readonly does: "join" | "leave" | "vanish" | "data" | "cut" | "mend" | "pause" | "resume" | "kill" | "go" | "wait";
  readonly user: string;
  readonly node: number;
  readonly number: number;
}

const steps = array(
  record({
    does: constantFrom<Step["does"]>(
      "join",
      "join",
      "join",
      "leave",
      "leave",
      "vanish",
      "vanish",
      "data",
      "cut",
      "mend",
      "pause",
      "resume",
      "kill",
      "go",
      "wait",
      "wait",
    ),
    user: constantFrom("ann", "bob", "cyd"),
    node: integer({ min: 0, max: 3 }),
    number: integer({ min: 0, max: 30 }),
  }),
  { maxLength: 40 },
);

/** A connection that is in the room, and on which node. */
interface Open {
  readonly node: TestNode;
  readonly user: string;
  readonly peer: CorePeer;
}

class Run {
  readonly nodes = new TestNodes();
  readonly observers: { readonly node: TestNode; readonly observer: Observer }[] = [];
  open: Open[] = [];

  async start(): Promise<void> {
    for (const node of await this.nodes.start("a", "b", "c", "d")) {
      const peer = await this.nodes.join(node, `at ${node.name}`, "r", { presence: true });
      this.observers.push({ node, observer: new Observer(peer!) });
    }
  }

  get #living(): typeof this.observers {
    return this.observers.filter(({ node }) => !node.isDead);
  }

  async take({ does, user, node: at, number }: Step): Promise<void> {
    const node = this.nodes.all[at]!;
    const one = this.open.find((open) => open.node === node && open.user === user);
    const isUp = !node.isDead && !node.clock.isStopped;
    if (does === "join" && isUp) {
      const data = number % 2 === 0 ? { data: number } : {};
      const peer = await this.nodes.join(node, user, "r", data);
      if (peer !== undefined) this.open.push({ node, user, peer });
    } else if (does === "leave" && isUp) this.#end(one, (peer) => peer.says({ type: "leave", room: "r" }));
    // A client can vanish while its node stands still; the node finds out later.
    else if (does === "vanish" && isUp) this.#end(one, (peer) => peer.vanish(graceMs));
    else if (does === "data" && isUp) one?.peer.says({ type: "presence", room: "r", data: number });
    else if (does === "cut" && isUp) node.way.isCut = true;
    else if (does === "mend" && !node.isDead && node.way.isCut) node.way.restore();
    else if (does === "pause" && isUp) node.pause();
    else if (does === "resume" && !node.isDead && node.clock.isStopped) node.resume();
    else if (does === "kill" && this.#living.length > 2 && !node.isDead) this.#lose(node, () => node.kill());
    else if (does === "go" && this.#living.length > 2 && isUp && !node.way.isCut) {
      for (const { peer } of this.open.filter((open) => open.node === node)) peer.vanish(graceMs + 2_000);
      await node.leave();
      this.#lose(node, () => undefined);
    } else if (does === "wait") await this.nodes.wait(number * 1_000, 500);
    await settle();
    this.hear();
  }

  /** Reads what the living were told; throws where arrivals and departures do not alternate. */
  hear(): void {
    for (const { observer } of this.#living) observer.hear();
  }

  async heal(): Promise<void> {
    for (const { node } of this.#living) {
      if (node.clock.isStopped) node.resume();
      if (node.way.isCut) node.way.restore();
    }
    await this.nodes.wait(45_000, 1_000);
    this.hear();
  }

  seen(): string[][] {
    return this.#living.map(({ observer }) => observer.names);
  }

  data(): string[] {
    return this.#living.map(({ observer }) =>
      JSON.stringify(observer.names.map((name) => [name, observer.users.get(name)])),
    );
  }

  expected(): string[] {
    return [
      ...new Set([...this.#living.map(({ node }) => `at ${node.name}`), ...this.open.map(({ user }) => user)]),
    ].sort();
  }

  #end(one: Open | undefined, how: (peer: CorePeer) => void): void {
    if (one === undefined) return;
    how(one.peer);
    this.open = this.open.filter((open) => open !== one);
  }

  #lose(node: TestNode, how: () => void): void {
    how();
    this.open = this.open.filter((open) => open.node !== node);
  }
}

describe("presence over several nodes (invariant 10)", () => {
  it("becomes the truly connected on every node, and arrivals and departures alternate, whatever happens", async () => {
    await assert(
      asyncProperty(steps, async (all) => {
        const run = new Run();
        await run.start();
        for (const step of all) await run.take(step);
        await run.heal();
        const expected = run.expected();
        for (const names of run.seen()) expect(names).toEqual(expected);
        expect(new Set(run.data()).size).toBe(1);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
