import type {
  Backend,
  BackendContext,
  BackendPromises,
  Jump,
  RoomListener,
  RoomRef,
  Subscription,
} from "../../../src/backends/backend.ts";
import { BackendUnavailable } from "../../../src/backends/backend.ts";
import { memory } from "../../../src/backends/memory/index.ts";

interface Subscribed {
  readonly node: SharedNode;
  readonly listener: RoomListener;
}

/** One log and bus in memory that several hubs of a process share, each through a node of its own. */
export class SharedEngine {
  readonly inner: Backend = memory();
  readonly subscribed: Map<string, Set<Subscribed>> = new Map();
  /** What the next texts between nodes come to: false drops one. */
  passes: (text: string, to: SharedNode) => boolean = () => true;
  relays = 0;
  #open = 0;

  node(): SharedNode {
    return new SharedNode(this);
  }

  async opened(context: BackendContext): Promise<void> {
    if (this.#open++ === 0) await this.inner.open(context);
  }

  async closed(): Promise<void> {
    if (--this.#open === 0) await this.inner.close();
  }

  relay(from: SharedNode, room: string, text: string): void {
    this.relays++;
    for (const { node, listener } of this.subscribed.get(room) ?? []) {
      if (node === from) listener.relayed(text);
      else if (!node.isCut && this.passes(text, node)) node.give(() => listener.relayed(text));
    }
  }
}

/** One process's way to the engine, which a test can cut or hold up. */
export class SharedNode implements Backend {
  readonly name = "shared";
  readonly promises: BackendPromises = { survives: "nothing", shared: true, log: true };
  /** Cut off: what it sends fails, and nothing reaches it. */
  isCut = false;
  /** Whether `others` tells how many. */
  counts = true;
  /** Whether rooms that nobody here listens to any more stay attached, until `letGo`. */
  lingers = false;
  readonly #engine: SharedEngine;
  readonly #own: Set<Subscribed> = new Set();
  readonly #lingering: Map<string, () => void> = new Map();
  /** While the process stands still: what its socket holds for it. */
  #held: (() => void)[] | undefined;

  constructor(engine: SharedEngine) {
    this.#engine = engine;
  }

  open(context: BackendContext): Promise<void> {
    return this.#engine.opened(context);
  }

  async close(): Promise<void> {
    for (const one of this.#own) for (const listeners of this.#engine.subscribed.values()) listeners.delete(one);
    this.#own.clear();
    await this.#engine.closed();
  }

  /** The process is gone without a word. */
  kill(): void {
    this.isCut = true;
    for (const one of this.#own) for (const listeners of this.#engine.subscribed.values()) listeners.delete(one);
  }

  /** The way is whole again, and says so as a driver does. */
  restore(): void {
    this.isCut = false;
    for (const { listener } of [...this.#own]) listener.interrupted?.();
  }

  /** Rooms that linger are detached. */
  letGo(): void {
    for (const detach of this.#lingering.values()) detach();
    this.#lingering.clear();
  }

  pause(): void {
    this.#held = [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const deliver of held) deliver();
  }

  give(deliver: () => void): void {
    if (this.#held === undefined) deliver();
    else this.#held.push(deliver);
  }

  jump(room: string, to: Jump): void {
    for (const { node, listener } of this.#engine.subscribed.get(room) ?? []) {
      if (node === this) listener.jumped?.(to);
    }
  }

  async check(): Promise<void> {
    this.#whole();
    await this.#engine.inner.check();
  }

  find: Backend["find"] = async (...args) => this.#whole().find(...args);
  append: Backend["append"] = async (...args) => this.#whole().append(...args);
  state: Backend["state"] = async (...args) => this.#whole().state(...args);
  read: Backend["read"] = async (...args) => this.#whole().read(...args);
  readBack: Backend["readBack"] = async (...args) => this.#whole().readBack(...args);
  set: Backend["set"] = async (...args) => this.#whole().set(...args);
  get: Backend["get"] = async (key) => this.#whole().get(key);
  take: Backend["take"] = async (key) => this.#whole().take(key);

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    const inner = await this.#whole().subscribe(room, {
      appended: (entry) => this.give(() => listener.appended(entry)),
      relayed: () => undefined,
    });
    const { all, remove } = this.#attach(room.name, listener);
    this.#lingering.get(room.name)?.();
    this.#lingering.delete(room.name);
    return {
      state: inner.state,
      sync: () => inner.sync(),
      others: async () => {
        this.#whole();
        const nodes = new Set([...all].map(({ node }) => node).filter((node) => node !== this));
        return this.counts || nodes.size === 0 ? nodes.size : undefined;
      },
      close: (relayed = () => undefined) => {
        inner.close();
        if (this.lingers) {
          this.#lingering.set(room.name, this.#attach(room.name, { appended: () => undefined, relayed }).remove);
        }
        remove();
      },
    };
  }

  #attach(room: string, listener: RoomListener): { all: Set<Subscribed>; remove: () => void } {
    const one = { node: this, listener };
    const all = this.#engine.subscribed.get(room) ?? new Set();
    this.#engine.subscribed.set(room, all.add(one));
    this.#own.add(one);
    const remove = (): void => {
      all.delete(one);
      this.#own.delete(one);
      if (all.size === 0) this.#engine.subscribed.delete(room);
    };
    return { all, remove };
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    this.#whole();
    this.#engine.relay(this, room.name, text);
  }

  #whole(): Backend {
    if (this.isCut) throw new BackendUnavailable("a test has cut this node off");
    return this.#engine.inner;
  }
}
