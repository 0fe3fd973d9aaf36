import type { JsonObject } from "../../../src/protocol/json.ts";
import type { Clock } from "../../../src/server/clock.ts";
import { Core, type CorePeer } from "../support/core.ts";
import { SharedEngine, type SharedNode } from "../support/shared-backend.ts";

export const graceMs = 10_000;

/** A clock of one process, which can stand still while time goes by: its timers then run late, and all at once. */
export class NodeClock implements Clock {
  isStopped = false;
  #wallMs = 1_750_000_000_000;
  #nowMs = 0;
  #lastId = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();

  readonly now = (): number => this.#wallMs;
  readonly monotonic = (): number => this.#nowMs;

  readonly setTimeout = (run: () => void, ms: number): unknown => {
    this.#timers.set(++this.#lastId, { at: this.#nowMs + ms, run });
    return this.#lastId;
  };

  readonly clearTimeout = (timer: unknown): void => void this.#timers.delete(timer as number);

  get timers(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    this.#wallMs += ms;
    if (this.isStopped) return;
    const due = [...this.#timers].filter(([, { at }]) => at <= this.#nowMs).sort(([, a], [, b]) => a.at - b.at);
    for (const [id, { run }] of due) if (this.#timers.delete(id)) run();
  }
}

/** One process of several. */
export class TestNode {
  readonly name: string;
  readonly clock: NodeClock = new NodeClock();
  readonly way: SharedNode;
  readonly core: Core;
  isDead = false;

  constructor(name: string, engine: SharedEngine, limits: object) {
    this.name = name;
    this.way = engine.node();
    this.core = new Core({ node: { name, backend: this.way, clock: this.clock }, limits });
  }

  pause(): void {
    this.clock.isStopped = true;
    this.way.pause();
  }

  /** Timers that are overdue run before anything is read, as in the event loop. */
  resume(): void {
    this.clock.isStopped = false;
    this.clock.advance(0);
    this.way.resume();
  }

  kill(): void {
    this.isDead = true;
    this.clock.isStopped = true;
    this.way.kill();
  }

  /** As a hub goes away, whose connections were sent away before. */
  async leave(): Promise<void> {
    this.isDead = true;
    await this.core.cluster?.leave(graceMs + 2_000);
    this.core.rooms.close();
    this.clock.isStopped = true;
  }
}

/** Several nodes in one process, on an engine and clocks that a test holds. */
export class TestNodes {
  readonly engine: SharedEngine = new SharedEngine();
  readonly all: TestNode[] = [];
  readonly #limits: object;

  constructor(limits: object = {}) {
    this.#limits = limits;
  }

  async start(...names: string[]): Promise<TestNode[]> {
    const started: TestNode[] = [];
    for (const name of names) {
      const node = new TestNode(name, this.engine, this.#limits);
      this.all.push(node);
      started.push(node);
      await this.during(node.core.open());
    }
    return started;
  }

  /** Time goes by on all nodes, in steps in which they hear each other. */
  async wait(ms: number, stepMs = 250): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      for (const node of this.all) if (!node.isDead) node.clock.advance(Math.min(left, stepMs));
      await settle();
    }
  }

  /** Until the promise has settled, with as much time as that takes, up to two seconds. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const end = (): void => void (isDone = true);
    promise.then(end, end);
    await settle();
    for (let i = 0; i < 20 && !isDone; i++) await this.wait(100, 100);
    return promise;
  }

  /** A connection that is in the room, or undefined where it could not get in. */
  async join(node: TestNode, user: string, room: string, join: JsonObject = {}): Promise<CorePeer | undefined> {
    const peer = node.core.connect(user);
    peer.says({ type: "join", id: "j", room, ...join });
    await settle();
    for (let i = 0; i < 30 && peer.frames.length === 0; i++) await this.wait(50, 50);
    return peer.joined.has(room) ? peer : undefined;
  }
}

/** What was sent has come, where it could. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** What someone who hears everything knows of a room. Throws where arrivals and departures do not alternate. */
export class Observer {
  readonly peer: CorePeer;
  readonly users: Map<string, unknown> = new Map();
  /** Of each user, what was told: `+`, `-`, and `=` where they stand in a whole list. */
  readonly told: Map<string, string> = new Map();
  members = 0;
  #read = 0;

  constructor(peer: CorePeer) {
    this.peer = peer;
    this.hear();
  }

  get names(): string[] {
    return [...this.users.keys()].sort();
  }

  hear(): this {
    for (const frame of this.peer.frames.slice(this.#read)) this.#hear(frame);
    this.#read = this.peer.frames.length;
    return this;
  }

  #hear(frame: JsonObject): void {
    if (frame["type"] === "joined") {
      this.#all(frame["presence"]);
      this.members = this.users.size;
    }
    if (frame["type"] !== "presence") return;
    if (frame["all"] !== undefined) this.#all(frame["all"]);
    for (const { user, data } of list(frame["joined"])) {
      if (this.users.has(user)) throw new Error(`${user} arrives a second time`);
      this.users.set(user, data);
      this.#tell(user, "+");
    }
    for (const { user } of list(frame["left"])) {
      if (!this.users.delete(user)) throw new Error(`${user} departs without having arrived`);
      this.#tell(user, "-");
    }
    for (const { user, data } of list(frame["updated"])) {
      if (!this.users.has(user)) throw new Error(`${user} changes without being there`);
      this.users.set(user, data);
    }
    this.members = frame["members"] as number;
    if (this.members !== this.users.size) throw new Error(`${this.members} are told, ${this.users.size} are there`);
  }

  #all(given: unknown): void {
    this.users.clear();
    for (const { user, data } of list(given)) {
      this.users.set(user, data);
      this.#tell(user, "=");
    }
  }

  #tell(user: string, what: string): void {
    this.told.set(user, (this.told.get(user) ?? "") + what);
  }
}

function list(given: unknown): { user: string; data?: unknown }[] {
  return (given ?? []) as { user: string; data?: unknown }[];
}
