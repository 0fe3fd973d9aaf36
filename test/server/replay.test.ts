import { describe, expect, it } from "vitest";
import type { LogEntry } from "../../src/backends/backend.ts";
import { Replay, type Replayed } from "../../src/server/replay.ts";
import { Turn } from "../../src/server/turn.ts";
import { HookedBackend, Gate } from "./support/backend.ts";
import { unavailable } from "./support/core.ts";
import { Owner, turnEnded } from "./support/pipe.ts";

const keep = { messages: 1_000, ms: 86_400_000 };

/** A room whose log holds so many messages, and one peer that is behind. */
class Scene {
  readonly backend = new HookedBackend();
  readonly room: Replayed & { position: number; epoch: string };
  readonly owner: Owner;
  readonly peer;
  caughtUp = 0;
  closeCode: number | undefined;

  constructor({ messages = keep.messages, outboxBytes = 1_048_576 } = {}) {
    this.owner = new Owner(new Turn(() => 0), { outboxBytes });
    const { outbox } = this.owner;
    this.room = {
      name: "r",
      ref: { name: "r", keep: { ...keep, messages } },
      epoch: "",
      position: 0,
      frameFor: ({ offset }: LogEntry) => `${offset}`,
      tellGap: (peer, { epoch, offset, reason }) =>
        peer.send(JSON.stringify({ type: "gap", room: "r", cursor: `${epoch}:${offset}`, reason })),
    };
    this.peer = {
      id: "c",
      user: "ann",
      outbox,
      send: (text: string) => outbox.push(this.#frame(text)),
      close: (code: number) => void (this.closeCode = code),
    };
  }

  async append(count: number, size = 10): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.backend.append(this.room.ref, { body: "x".repeat(size), at: Date.now(), except: undefined });
      this.room.position++;
    }
  }

  async open(count: number): Promise<this> {
    await this.backend.open({ now: Date.now, log: () => undefined });
    this.room.epoch = (await this.backend.state(this.room.ref)).epoch;
    await this.append(count);
    return this;
  }

  replay(from: number): Replay {
    return new Replay(this.backend, this.room, this.peer, from, () => void this.caughtUp++);
  }

  #frame(text: string): Buffer {
    return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]);
  }
}

const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => `${first + i}`);

describe("a replay", () => {
  it("sends all after its start, over as many pages as it takes, and is done", async () => {
    const scene = await new Scene().open(700);
    const replay = scene.replay(123);
    await replay.run();
    await turnEnded();
    expect(scene.owner.texts).toEqual(numbers(124, 700));
    expect([scene.caughtUp, replay.at]).toEqual([1, 700]);
    expect(scene.backend.calls.filter((call) => call === "read").length).toBeGreaterThan(1);
  });

  it("ends at the room's position, though the log that others share holds more: that comes live", async () => {
    const scene = await new Scene().open(300);
    scene.room.position = 250;
    await scene.replay(100).run();
    await turnEnded();
    expect(scene.owner.texts).toEqual(numbers(101, 250));
    expect(scene.caughtUp).toBe(1);
  });

  it("goes on until it has what was appended meanwhile", async () => {
    const scene = await new Scene().open(100);
    let left = 3;
    scene.backend.hook = (call, when) =>
      call === "read" && when === "after" && left-- > 0 ? scene.append(50) : undefined;
    await scene.replay(0).run();
    await turnEnded();
    expect([scene.owner.texts, scene.caughtUp]).toEqual([numbers(1, 250), 1]);
  });

  it("waits for its reader, and holds little for it meanwhile", async () => {
    const scene = await new Scene({ outboxBytes: 400_000 }).open(0);
    const frame = "y".repeat(3_000);
    scene.room.frameFor = ({ offset }) => `${offset} ${frame}`;
    await scene.append(900);
    scene.owner.pipe.stall();
    const done = scene.replay(0).run();
    await turnEnded(20);
    expect([scene.caughtUp, scene.owner.overflows]).toEqual([0, 0]);
    expect(scene.owner.outbox.waitingBytes).toBeLessThan(250_000);
    const reads = scene.backend.calls.length;
    await turnEnded(20);
    expect(scene.backend.calls).toHaveLength(reads);
    scene.owner.pipe.resumeReading();
    await done;
    expect(scene.owner.texts.map((text) => text.split(" ", 1)[0])).toEqual(numbers(1, 900));
  });

  it("does not overflow the outbox of a reader that pauses, however small its bound", async () => {
    const scene = await new Scene({ outboxBytes: 64 * 1_024 }).open(0);
    scene.room.frameFor = ({ offset }) => `${offset} ${"y".repeat(3_000)}`;
    await scene.append(200);
    scene.owner.pipe.stall();
    const done = scene.replay(0).run();
    await turnEnded(20);
    expect([scene.owner.overflows, scene.owner.texts]).toEqual([0, []]);
    scene.owner.pipe.resumeReading();
    await done;
    expect(scene.owner.texts).toHaveLength(200);
  });

  it("that was stopped sends nothing more and never says that it has caught up", async () => {
    const scene = await new Scene().open(300);
    const gate = new Gate();
    scene.backend.hook = (call, when) => (call === "read" && when === "after" ? gate.passed : undefined);
    const replay = scene.replay(0);
    const done = replay.run();
    replay.stop();
    gate.open();
    await done;
    await turnEnded();
    expect([scene.owner.texts, scene.caughtUp, scene.closeCode]).toEqual([[], 0, undefined]);
  });

  it("tells a gap where the log was trimmed while it was on its way (P-35)", async () => {
    const scene = await new Scene({ messages: 200 }).open(200);
    let isFirst = true;
    scene.backend.hook = (call, when) => {
      if (call !== "read" || when !== "after" || !isFirst) return undefined;
      isFirst = false;
      return scene.append(150);
    };
    await scene.replay(0).run();
    await turnEnded();
    const gap = JSON.stringify({ type: "gap", room: "r", cursor: `${scene.room.epoch}:150`, reason: "trimmed" });
    expect(scene.owner.texts).toEqual([...numbers(1, 128), gap, ...numbers(151, 350)]);
    expect(scene.caughtUp).toBe(1);
  });

  it("tells a gap up to the end where nothing is left", async () => {
    const scene = await new Scene().open(100);
    scene.backend.read = () => Promise.resolve([]);
    await scene.replay(10).run();
    await turnEnded();
    expect(scene.owner.texts).toEqual([
      `{"type":"gap","room":"r","cursor":"${scene.room.epoch}:100","reason":"trimmed"}`,
    ]);
    expect(scene.caughtUp).toBe(1);
  });

  it("closes the connection with 1013 where the log cannot be read", async () => {
    const scene = await new Scene().open(100);
    scene.backend.hook = (call) => {
      if (call === "read") throw unavailable();
    };
    await scene.replay(0).run();
    expect([scene.closeCode, scene.caughtUp]).toEqual([1013, 0]);
  });

  it("that was stopped before the log failed closes nothing", async () => {
    const scene = await new Scene().open(100);
    const gate = new Gate();
    scene.backend.hook = (call) => (call === "read" ? gate.passed : undefined);
    const replay = scene.replay(0);
    const done = replay.run();
    replay.stop();
    gate.fail(unavailable());
    await done;
    expect(scene.closeCode).toBeUndefined();
  });
});
