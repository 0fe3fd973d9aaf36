import type {
  Appended,
  Backend,
  BackendContext,
  BackendPromises,
  Found,
  KeyFacts,
  KeyRef,
  LogEntry,
  LogState,
  NewEntry,
  RoomListener,
  RoomRef,
  Subscription,
} from "../../../src/backends/backend.ts";
import { memory } from "../../../src/backends/memory/index.ts";

export type Call = "append" | "check" | "find" | "get" | "read" | "readBack" | "set" | "state" | "subscribe" | "take";

/** Stands before and after a call: it may wait, or reject and so fail the call. */
export type Hook = (call: Call, when: "before" | "after") => Promise<void> | void;

/** The memory backend with a hook around its calls: what a test delays there is late, what it throws there fails. */
export class HookedBackend implements Backend {
  readonly name = "hooked";
  readonly promises: BackendPromises = { survives: "nothing", shared: false, log: true };
  readonly calls: Call[] = [];
  hook: Hook = () => undefined;
  readonly #inner: Backend = memory();

  open(context: BackendContext): Promise<void> {
    return this.#inner.open(context);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  check(): Promise<void> {
    return this.#around("check", () => this.#inner.check());
  }

  find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    return this.#around("find", () => this.#inner.find(room, key));
  }

  append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended> {
    return this.#around("append", () => this.#inner.append(room, entry, key));
  }

  state(room: RoomRef): Promise<LogState> {
    return this.#around("state", () => this.#inner.state(room));
  }

  read(...args: Parameters<Backend["read"]>): Promise<LogEntry[]> {
    return this.#around("read", () => this.#inner.read(...args));
  }

  readBack(...args: Parameters<Backend["readBack"]>): Promise<LogEntry[]> {
    return this.#around("readBack", () => this.#inner.readBack(...args));
  }

  subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#around("subscribe", async () => {
      const subscription = await this.#inner.subscribe(room, listener);
      return { ...subscription, sync: () => this.#around("state", subscription.sync) };
    });
  }

  relay(room: RoomRef, text: string): Promise<void> {
    return this.#inner.relay(room, text);
  }

  set(key: string, value: string, ttlMs: number): Promise<void> {
    return this.#around("set", () => this.#inner.set(key, value, ttlMs));
  }

  get(key: string): ReturnType<Backend["get"]> {
    return this.#around("get", async () => this.#inner.get(key));
  }

  take(key: string): Promise<string | undefined> {
    return this.#around("take", () => this.#inner.take(key));
  }

  async #around<T>(call: Call, perform: () => Promise<T>): Promise<T> {
    this.calls.push(call);
    const before = this.hook(call, "before");
    // An await here would let a later call pass this one, which no backend does.
    if (before !== undefined) await before;
    const result = await perform();
    const after = this.hook(call, "after");
    if (after !== undefined) await after;
    return result;
  }
}

/** A promise that a test settles. */
export class Gate {
  readonly passed: Promise<void>;
  open: () => void = () => undefined;
  fail: (error: Error) => void = () => undefined;

  constructor() {
    this.passed = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }
}
