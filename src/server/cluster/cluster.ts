import type { Backend } from "../../backends/backend.ts";
import type { Clock } from "../clock.ts";
import type { Logger } from "../options.ts";
import { Bus } from "./bus.ts";
import { Calls } from "./calls.ts";
import { beatMs, Leases, leaseMs, tickMs } from "./leases.ts";
import { LeftRooms } from "./left-rooms.ts";
import { inParts, type Cost, type MapMessage, type NodeMessage } from "./messages.ts";
import type { MapOwner } from "./map-owner.ts";
import { Maps } from "./maps.ts";
import { SharedMap } from "./shared-map.ts";

/** How long a start waits to hear of the other nodes. */
const greetMs = 300;
export interface ClusterContext {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This process's own name, among those that share the backend. */
  readonly node: string;
}

/** What the hub does about other nodes. */
export interface ClusterEvents {
  /** This node could not hear for a while: what was decided elsewhere meanwhile has to be looked up. */
  missed(): void;
  /** The others have given this node up: what only waits here for its user to come back ends. */
  fenced(): void;
  /** What another node's users, rooms and addresses have spent there. */
  spent(costs: readonly Cost[]): void;
}

/**
 * This node among those that share a backend. It knows which others live, keeps maps with them (who is in a room), and asks
 * them. Works with nothing but `relay` and `subscribe`.
 */
export class Cluster {
  readonly node: string;
  readonly calls: Calls;
  /** States that were read of other nodes since the start. */
  syncs = 0;
  readonly #context: ClusterContext;
  readonly #bus: Bus;
  readonly #maps: Maps = new Maps();
  readonly #left: LeftRooms;
  #events: ClusterEvents | undefined;
  #leases: Leases;
  #lives = 0;
  #version = 0;
  #timer: unknown;
  #isOpen = false;
  #isOpening = false;
  #isStopped = false;
  #beatAt = -Infinity;
  /** The others have given this node up, and it asserts itself with the next tick: closed sockets are seen until then. */
  #mustFence = false;
  #greeting: (() => void) | undefined;

  constructor(context: ClusterContext) {
    this.#context = context;
    this.node = context.node;
    this.#bus = new Bus(context.backend, context.node);
    this.#leases = new Leases(context.clock.monotonic());
    this.#left = new LeftRooms({
      node: context.node,
      bus: this.#bus,
      maps: this.#maps,
      holdMs: (node) => this.#leases.holdMs(node, context.clock.monotonic()),
      inherited: (node, holdMs) => this.#leases.inherited(node, holdMs, context.clock.monotonic()),
    });
    this.calls = new Calls({ ...context, bus: this.#bus, others: () => this.others });
  }

  /** The other nodes that live. */
  get others(): string[] {
    return this.#leases.living;
  }

  /** Whether this node hears the others. */
  get isWhole(): boolean {
    return this.#isOpen && this.#leases.isWhole(this.#context.clock.monotonic());
  }

  /** Resolves when the other nodes are known, or should be. Where the bus cannot be reached it is tried again. */
  async start(events: ClusterEvents): Promise<void> {
    this.#events = events;
    this.#leases = new Leases(this.#context.clock.monotonic());
    await this.#open();
    if (!this.#isStopped) this.#timer = this.#context.clock.setTimeout(this.#tick, tickMs);
  }

  /** Says goodbye: the other nodes keep this one's users for `holdMs`, in case they come back there (P-53). */
  async leave(holdMs: number): Promise<void> {
    for (const map of this.#maps.all()) map.flush();
    this.stop();
    if (this.others.length > 0) this.#left.leave(holdMs);
    await this.#bus.toAll({ type: "bye", from: this.node, holdMs }).catch(() => undefined);
    this.#bus.close();
  }

  stop(): void {
    this.#isStopped = true;
    this.#context.clock.clearTimeout(this.#timer);
    this.calls.close();
  }

  /** What was spent here, for the other nodes to count; what is lost on the way is not. */
  spent(costs: readonly Cost[]): void {
    if (costs.length === 0) return;
    for (const part of inParts(costs)) {
      this.#bus.toAll({ type: "spent", from: this.node, costs: part }).catch(() => undefined);
    }
  }

  /** Higher than every version that was seen, and near the time, so that a new node's word counts beside an old one's. */
  nextVersion(): number {
    this.#version = Math.max(this.#version + 1, this.#context.clock.now());
    return this.#version;
  }

  seen(version: number): void {
    this.#version = Math.max(this.#version, version);
  }

  /** A map with the other nodes; `toAll` reaches those that have it. Absent: all nodes have it. */
  open(name: string, owner: MapOwner, toAll?: (message: MapMessage) => Promise<void>): SharedMap {
    const { clock } = this.#context;
    const map = new SharedMap(owner, {
      node: this.node,
      toAll: toAll ?? ((message) => this.#bus.toAll({ ...message, map: name })),
      toNode: (node, message) => this.#bus.toNode(node, { ...message, map: name }),
      lives: (other) => this.others.includes(other),
      holdMs: (left) => this.#leases.holdMs(left, clock.monotonic()),
      inherited: (left, holdMs) => this.#leases.inherited(left, holdMs, clock.monotonic()),
      left: () => this.#left.take(name),
      nextLife: () => ++this.#lives,
      unsettled: () => this.#maps.unsettled(map),
      clock,
      later: setImmediate,
      synced: () => void this.syncs++,
    });
    this.#maps.add(name, map);
    return map;
  }

  close(name: string, map: SharedMap): void {
    this.#maps.delete(name, map);
    map.close();
  }

  /** A message came for a map, on its own channel or another. `peers`: who may have it where this node has not. */
  received(name: string, message: MapMessage, peers: ReadonlySet<string> = new Set()): void {
    if (message.from === this.node || this.#isStopped || !this.#hear(message.from)) return;
    const map = this.#maps.get(name);
    const asks = message.type === "want" || (message.type === "sync" && message.known !== undefined);
    // What is said before that would bring users back who have gone meanwhile. It is asked again.
    if (asks && this.#mustFence) return;
    if (map !== undefined) map.receive(message);
    else if (asks) {
      const place = [this.#lives, 0] as const;
      const known = this.others.filter((node) => peers.has(node));
      const nothing = { type: "state", from: this.node, place, part: 0, parts: 1, changes: [], peers: known } as const;
      this.#bus.toNode(message.from, { ...nothing, map: name });
    }
  }

  async #open(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    try {
      const others = await this.#bus.open({
        heard: (message) => this.#heard(message),
        interrupted: () => this.#interrupted(),
      });
      await this.#bus.toAll({ type: "beat", from: this.node, isNew: true });
      this.#beatAt = this.#context.clock.monotonic();
      this.#isOpen = true;
      if (others !== 0) await this.#greeted(others);
    } catch (error) {
      this.#context.logger.warn({ err: error }, "the other nodes cannot be reached");
    } finally {
      this.#isOpening = false;
    }
  }

  #greeted(others: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#context.clock.clearTimeout(timer);
        this.#greeting = undefined;
        resolve();
      };
      const timer = this.#context.clock.setTimeout(done, greetMs);
      this.#greeting = () => {
        if (others !== undefined && this.others.length >= others) done();
      };
      this.#greeting();
    });
  }

  readonly #tick = (): void => {
    this.#timer = this.#context.clock.setTimeout(this.#tick, tickMs);
    const now = this.#context.clock.monotonic();
    for (const node of this.#leases.tick(now)) this.#forget(node);
    if (!this.#isOpen) {
      void this.#open();
      return;
    }
    if (this.#mustFence) this.#fence();
    if (now - this.#beatAt >= beatMs) this.#beat(now);
    this.#maps.settle();
  };

  #beat(now: number): void {
    this.#beatAt = now;
    this.#bus.toAll({ type: "beat", from: this.node, isNew: false }).catch(() => {
      // With the next tick.
      this.#beatAt = -Infinity;
    });
    this.#maps.note();
  }

  #heard(message: NodeMessage): void {
    if (this.#isStopped) return;
    if (message.from === this.node) {
      if (message.type === "beat") this.#echoed();
      return;
    }
    switch (message.type) {
      case "beat":
        this.#hear(message.from, message.isNew);
        this.#greeting?.();
        return;
      case "bye":
        this.#bye(message.from, message.holdMs);
        return;
      case "left-rooms":
        if (this.#hear(message.from)) this.#left.told(message);
        return;
      case "took":
        this.#left.taken(message.room);
        return;
      case "ask":
        if (this.#hear(message.from)) void this.calls.reply(message);
        return;
      case "answer":
        this.calls.answered(message);
        return;
      case "spent":
        this.#events?.spent(message.costs);
        return;
      default:
        this.received(message.map, message);
    }
  }

  /** Whether the node counts. */
  #hear(node: string, isNew = false): boolean {
    const verdict = this.#leases.heard(node, this.#context.clock.monotonic());
    if (verdict === "gone") return false;
    if (verdict !== "known" || isNew) {
      this.#context.logger.info({ node: this.node, other: node }, `another node is ${isNew ? "new" : "there"}`);
      this.#left.tell(node);
      this.#bus.toNode(node, { type: "beat", from: this.node, isNew: false });
    }
    if (verdict === "revived") this.#missedAll();
    this.calls.heard(node, verdict !== "known");
    return true;
  }

  #echoed(): void {
    const now = this.#context.clock.monotonic();
    const wasWhole = this.#leases.isWhole(now);
    const deafMs = this.#leases.echoed(now);
    if (wasWhole) return;
    if (deafMs >= leaseMs) this.#mustFence = true;
    this.#context.logger.warn({ node: this.node, deafMs: Math.round(deafMs) }, "the other nodes can be heard again");
    this.#missedAll();
    this.#events?.missed();
  }

  #interrupted(): void {
    this.#beatAt = -Infinity;
    this.#missedAll();
    this.#events?.missed();
    this.#beat(this.#context.clock.monotonic());
  }

  #missedAll(): void {
    for (const map of this.#maps.all()) map.interrupted();
  }

  #fence(): void {
    this.#mustFence = false;
    this.#events?.fenced();
    for (const map of this.#maps.all()) map.renew();
  }

  #bye(node: string, holdMs: number): void {
    this.#leases.left(node, holdMs, this.#context.clock.monotonic());
    this.calls.dead(node);
    for (const map of this.#maps.all()) map.hold(node);
  }

  #forget(node: string): void {
    this.#left.drop(node);
    this.#context.logger.info({ node: this.node, other: node }, "another node is gone");
    this.calls.dead(node);
    for (const map of this.#maps.all()) map.drop(node);
  }
}
