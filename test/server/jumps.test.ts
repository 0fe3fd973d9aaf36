import { describe, expect, it } from "vitest";
import type { Backend, BackendContext, Jump, RoomListener, RoomRef, Subscription } from "../../src/backends/backend.ts";
import { memory } from "../../src/backends/memory/index.ts";
import { Gate, HookedBackend } from "./support/backend.ts";
import { serve } from "./support/hub.ts";

/** A log that can be lost under those who listen to it, as one on an engine can. */
class LosableBackend extends HookedBackend {
  count?: NonNullable<Backend["count"]>;
  /** Between the moment from which a subscription hears all and its answer. */
  opened: () => Promise<void> | void = () => undefined;
  readonly #listeners = new Map<RoomListener, RoomRef>();
  #context: BackendContext | undefined;
  #now: Backend = memory();

  override async open(context: BackendContext): Promise<void> {
    this.#context = context;
    // What is not a log, tickets and the like, is not lost.
    await super.open(context);
    await this.#now.open(context);
  }

  override async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    this.#listeners.set(listener, room);
    const { state } = await this.#now.subscribe(room, listener);
    await this.opened();
    const close = (): void => void this.#listeners.delete(listener);
    return { state, sync: () => this.state(room), others: () => Promise.resolve(0), close };
  }

  override append: Backend["append"] = (...args) => this.#now.append(...args);
  override state: Backend["state"] = (room) => this.#now.state(room);
  override read: Backend["read"] = async (...args) => {
    await this.hook("read", "before");
    return this.#now.read(...args);
  };

  /** Everything is gone; what comes next is in another epoch. */
  async lose(): Promise<void> {
    this.#now = memory();
    await this.#now.open(this.#context!);
    for (const [listener, room] of this.#listeners) {
      const { state } = await this.#now.subscribe(room, listener);
      listener.jumped?.({ epoch: state.epoch, offset: state.head, reason: "epoch" });
    }
  }

  /** What lay before `offset` was trimmed before this node could read it. */
  jump(offset: number, epoch: string): void {
    const to: Jump = { epoch, offset, reason: "trimmed" };
    for (const listener of this.#listeners.keys()) listener.jumped?.(to);
  }
}

describe("a log that was lost under its members", () => {
  it("is told by `gap` before anything of the new epoch, and the stream goes on (P-35)", async () => {
    const backend = new LosableBackend();
    const { hub, member } = await serve({ backend });
    const [ann, bob] = [await member("ann", "r"), await member("bob", "r")];
    await hub.room("r").publish("e", "before");
    await backend.lose();
    const { cursor } = await hub.room("r").publish("e", "after");
    const epoch = cursor!.split(":")[0]!;
    for (const peer of [ann, bob]) {
      await peer.expect({ type: "message", data: "before", offset: 1 });
      await peer.expect({ type: "gap", room: "r", cursor: `${epoch}:0`, reason: "epoch" });
      await peer.expect({ type: "message", data: "after", offset: 1 });
    }
  });

  it("ends a replay: its member is told, and goes on with the others", async () => {
    const backend = new LosableBackend();
    const { hub, connect } = await serve({ backend });
    for (let i = 1; i <= 3; i++) await hub.room("r").publish("e", i);
    const ann = await connect("ann");
    const gate = new Gate();
    backend.hook = (call) => (call === "read" ? gate.passed : undefined);
    ann.send({ type: "join", room: "r", history: 3 });
    await ann.expect({ type: "joined", replay: 3 });
    await backend.lose();
    gate.open();
    await ann.expect({ type: "gap", reason: "epoch" });
    await hub.room("r").publish("e", "new");
    await ann.expect({ type: "message", data: "new", offset: 1 });
  });

  it("recovers nobody who was on the way in with a cursor of the old one", async () => {
    const backend = new LosableBackend();
    const { hub, connect, member } = await serve({ backend });
    const first = await hub.room("r").publish("e", 1);
    await hub.room("r").publish("e", 2);
    await member("bob", "r");
    const ann = await connect("ann");
    const gate = new Gate();
    backend.count = async () => {
      await gate.passed;
      return 1;
    };
    ann.send({ type: "join", room: "r", since: first.cursor! });
    await ann.settled();
    await backend.lose();
    gate.open();
    await ann.expect({ type: "joined", recovered: false, replay: 0 });
    const { cursor } = await hub.room("r").publish("e", "new");
    await ann.expect({ type: "message", data: "new", offset: 1 });
    expect(cursor!.split(":")[0]).not.toBe(first.cursor!.split(":")[0]);
  });

  it("that was only trimmed past this node keeps its epoch, and tells what is lost", async () => {
    const backend = new LosableBackend();
    const { hub, member } = await serve({ backend });
    const ann = await member("ann", "r");
    const { cursor } = await hub.room("r").publish("e", 1);
    await ann.expect({ type: "message", offset: 1 });
    const epoch = cursor!.split(":")[0]!;
    backend.jump(9, epoch);
    await ann.expect({ type: "gap", room: "r", cursor: `${epoch}:9`, reason: "trimmed" });
  });

  it("keeps the newer word where the log was lost while the room was opened", async () => {
    const backend = new LosableBackend();
    const { hub, connect } = await serve({ backend });
    const ann = await connect("ann");
    const gate = new Gate();
    backend.opened = () => gate.passed;
    ann.send({ type: "join", room: "r" });
    await ann.settled();
    await backend.lose();
    const { cursor } = await hub.room("r").publish("e", 1);
    gate.open();
    await ann.expect({ type: "joined", cursor: cursor! });
  });
});
