import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { createHub } from "../../src/server/hub.ts";
import { Core, type CorePeer } from "./support/core.ts";
import { turnEnded } from "./support/pipe.ts";

const rooms = {
  "drop/:n": { slow: "drop" },
  "latest/:n": { slow: "latest" },
  "live/drop": { slow: "drop", keep: false },
  "live/latest": { slow: "latest", keep: false },
  "**": {},
} as const;
/** A quarter of it congests, and a quarter of it may be held. */
const outboxBytes = 160_000;
/** Congests by itself, and is not held. */
const large = "x".repeat(50_000);

class Scene {
  readonly core: Core = new Core({ rooms });

  async join(user: string, room: string, fields: JsonObject = {}): Promise<CorePeer> {
    const peer = this.core.connect(user, { outboxBytes });
    await this.says(peer, { type: "join", room, ...fields });
    return peer;
  }

  async says(peer: CorePeer, frame: JsonObject): Promise<void> {
    peer.says(frame);
    await turnEnded();
  }

  /** Publishes each in a turn of its own. */
  async publish(room: string, ...messages: [event: string, data: unknown, except?: CorePeer][]): Promise<void> {
    for (const [event, data, except] of messages) {
      const { kind } = this.core.catalog.find(room)!;
      const one = { room, kind, event, data, from: undefined, except: except?.id, key: undefined, handle: undefined };
      await (
        await this.core.publisher.submit(one)
      ).outcome;
      await turnEnded();
    }
  }

  /** The reader stops, and its outbox is congested by a message of this room. */
  async congest(peer: CorePeer, room: string): Promise<void> {
    peer.pipe.stall();
    await this.publish(room, ["fill", large]);
    if (!peer.outbox.congested) throw new Error("the outbox is not congested by this");
  }

  async drain(peer: CorePeer): Promise<void> {
    peer.pipe.resumeReading();
    await turnEnded(20);
  }
}

async function scene(): Promise<Scene> {
  const made = new Scene();
  await made.core.open();
  return made;
}

/** A stream in few words: `drop/1 5 e "data"`, `skip 4`, `gap 7 slow`. */
function stream(peer: CorePeer): string[] {
  return peer.frames.map(({ type, offset, event, data, cursor, reason, room }) => {
    const at = cursor === undefined ? "" : String(cursor).replace(/^.*:/, " ");
    if (type === "message")
      return [offset, event, data === large ? "large" : data].filter((x) => x !== undefined).join(" ");
    if (type === "skip") return `skip ${String(offset)}`;
    if (type === "gap") return `gap${at} ${String(reason)}`;
    return type === "joined" ? `joined${at}` : [type, room, event].filter((x) => x !== undefined).join(" ");
  });
}

describe("a member that reads too slowly, in a room that drops", () => {
  it("is told of what was left out by gap, before the next message, and follows on (P-35)", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.publish("drop/1", ["e", "before"]);
    await at.congest(ann, "drop/1");
    await at.publish("drop/1", ["e", "three"], ["f", "four"], ["e", "five"]);
    await at.drain(ann);
    await at.publish("drop/1", ["e", "six"]);
    expect(stream(ann)).toEqual(["joined 0", "1 e before", "2 fill large", "gap 5 slow", "6 e six"]);
    expect(at.core.counts.slow).toEqual({ readers: { drop: 1, latest: 0 }, dropped: 3, replaced: 0 });
    expect(at.core.counts.messages.frames).toBe(3);
  });

  it("is told nothing where nothing came meanwhile", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.congest(ann, "drop/1");
    await at.drain(ann);
    await at.publish("drop/1", ["e", "two"]);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large", "2 e two"]);
  });

  it("is told of its own message by skip, as ever (P-30)", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.congest(ann, "drop/1");
    await at.publish("drop/1", ["e", "own", ann]);
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large", "skip 2"]);
    expect(at.core.counts.slow.dropped).toBe(0);
  });

  it("gets all else that its connection is sent: answers, presence, and rooms that cut slow readers", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1", { presence: true });
    await at.says(ann, { type: "join", room: "other" });
    await at.congest(ann, "drop/1");
    await at.publish("drop/1", ["e", "left out"]);
    await at.publish("other", ["e", "comes"]);
    await at.join("bob", "drop/1");
    await at.says(ann, { type: "ping" });
    expect(at.core.rooms.get("drop/1")?.presence.size).toBe(2);
    await at.drain(ann);
    expect(stream(ann)).toEqual([
      "joined 0",
      "joined 0",
      "1 fill large",
      "1 e comes",
      "presence drop/1",
      "pong",
      "gap 2 slow",
    ]);
  });

  it("is cut only where what cannot be left out is more than its bound", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.says(ann, { type: "join", room: "other" });
    await at.congest(ann, "drop/1");
    for (let i = 0; i < 100; i++) await at.publish("drop/1", ["e", large]);
    expect(ann.closeCode).toBeUndefined();
    for (let i = 0; i < 3; i++) await at.publish("other", ["e", large]);
    expect(ann.closeCode).toBe(4200);
  });

  it("is not cut by what one turn brings, however much", async () => {
    const at = await scene();
    const [slow, quick] = [await at.join("ann", "drop/1"), await at.join("bob", "drop/1")];
    slow.pipe.stall();
    const { kind } = at.core.catalog.find("drop/1")!;
    const one = { room: "drop/1", kind, event: "e", from: undefined, except: undefined, key: undefined };
    for (let n = 1; n <= 40; n++) void at.core.publisher.submit({ ...one, data: large, handle: undefined });
    await turnEnded(10);
    expect(slow.overflows).toBe(0);
    expect(quick.of("message")).toHaveLength(40);
    await at.drain(slow);
    expect(stream(slow).at(-1)).toBe("gap 40 slow");
  });

  it.each(["drop", "latest"])(
    "by %s is not cut by what one turn brings into many rooms, a little into each",
    async (policy) => {
      const at = await scene();
      const [slow, quick] = [at.core.connect("ann", { outboxBytes }), at.core.connect("bob", { outboxBytes })];
      const names = Array.from({ length: 20 }, (_, n) => `${policy}/${n}`);
      for (const room of names) for (const peer of [slow, quick]) await at.says(peer, { type: "join", room });
      slow.pipe.stall();
      for (const room of [...names, ...names]) {
        const { kind } = at.core.catalog.find(room)!;
        const one = { room, kind, event: "e", from: undefined, except: undefined, key: undefined, handle: undefined };
        void at.core.publisher.submit({ ...one, data: "x".repeat(15_000) });
      }
      await turnEnded(10);
      expect(slow.overflows).toBe(0);
      expect(quick.of("message")).toHaveLength(40);
      await at.drain(slow);
      const told = slow.frames.filter(({ type }) => type === "gap" || type === "skip" || type === "message");
      const ends = new Map(
        told.map(({ room, offset, cursor }) => [room, offset ?? Number(/\d+$/.exec(String(cursor)))]),
      );
      expect([...ends.values()]).toEqual(names.map(() => 2));
    },
  );

  it("that joins again is told where its stream stands, and then of the gap (P-24)", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.congest(ann, "drop/1");
    await at.publish("drop/1", ["e", "left out"]);
    await at.says(ann, { type: "join", room: "drop/1" });
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large", "joined 1", "gap 2 slow"]);
  });

  it("that resumes on the same connection gets all of it from the log, once it reads", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.congest(ann, "drop/1");
    await at.publish("drop/1", ["e", "two"], ["e", "three"]);
    const { epoch } = at.core.rooms.get("drop/1")!;
    await at.says(ann, { type: "join", room: "drop/1", since: `${epoch}:1` });
    await at.publish("drop/1", ["e", "four"]);
    await at.drain(ann);
    await at.publish("drop/1", ["e", "five"]);
    expect(stream(ann)).toEqual([
      "joined 0",
      "1 fill large",
      "joined 1",
      "2 e two",
      "3 e three",
      "4 e four",
      "5 e five",
    ]);
  });

  it("that leaves is told of the gap first (P-32)", async () => {
    const at = await scene();
    const ann = await at.join("ann", "drop/1");
    await at.congest(ann, "drop/1");
    await at.publish("drop/1", ["e", "left out"]);
    await at.says(ann, { type: "leave", room: "drop/1" });
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large", "gap 2 slow", "left drop/1"]);
  });

  it("is told of what was left out before a jump of the log is", async () => {
    const at = await scene();
    const ann = await at.join("ann", "latest/1");
    await at.congest(ann, "latest/1");
    await at.publish("latest/1", ["e", "waits"]);
    const room = at.core.rooms.get("latest/1")!;
    room.jumped({ epoch: room.epoch, offset: 9, reason: "trimmed" });
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large", "2 e waits", "gap 9 trimmed"]);
  });

  it("without a log is told of a gap that has no cursor", async () => {
    const at = await scene();
    const ann = await at.join("ann", "live/drop");
    await at.congest(ann, "live/drop");
    await at.publish("live/drop", ["e", "left out"]);
    await at.drain(ann);
    await at.publish("live/drop", ["e", "comes"]);
    expect(stream(ann)).toEqual(["joined", "fill large", "gap slow", "e comes"]);
  });

  it("over deflate is told the same", async () => {
    const at = await scene();
    const ann = at.core.connect("ann", { outboxBytes, deflated: true });
    await at.says(ann, { type: "join", room: "drop/1" });
    ann.fake.bufferedAmount = outboxBytes / 2;
    await at.publish("drop/1", ["e", "one"], ["e", "two"]);
    ann.fake.bufferedAmount = 0;
    await expect.poll(() => stream(ann)).toEqual(["joined 0", "1 e one", "gap 2 slow"]);
  });
});

describe("a member that reads too slowly, in a room that keeps the latest", () => {
  it("gets the newest of each event in order, the others told by skip in their places (P-38)", async () => {
    const at = await scene();
    const ann = await at.join("ann", "latest/1");
    await at.congest(ann, "latest/1");
    await at.publish("latest/1", ["a", 1], ["b", 1], ["a", 2], ['"c', 1], ["b", 2], ["b", 3], ["e", "own", ann]);
    await at.drain(ann);
    await at.publish("latest/1", ["a", 3]);
    expect(stream(ann)).toEqual([
      "joined 0",
      "1 fill large",
      "skip 3",
      "4 a 2",
      '5 "c 1',
      "skip 6",
      "7 b 3",
      "skip 8",
      "9 a 3",
    ]);
    expect(at.core.counts.slow).toEqual({ readers: { drop: 0, latest: 1 }, dropped: 0, replaced: 3 });
    expect(ann.outbox.heldBytes).toBe(0);
  });

  it("loses the oldest of what waits where it is too much, and is told by gap", async () => {
    const at = await scene();
    const ann = await at.join("ann", "latest/1");
    await at.congest(ann, "latest/1");
    const third = "y".repeat(12_000);
    await at.publish("latest/1", ["a", third], ["b", third], ["c", third], ["b", third], ["d", third], ["e", large]);
    expect(ann.outbox.heldBytes).toBe(0);
    await at.publish("latest/1", ["a", "small"]);
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large", "gap 7 slow", "8 a small"]);
    expect(at.core.counts.slow).toMatchObject({ dropped: 5, replaced: 1 });
  });

  it("holds a quarter of the bound, over all of its rooms together", async () => {
    const at = await scene();
    const ann = await at.join("ann", "latest/0");
    for (let n = 1; n < 10; n++) await at.says(ann, { type: "join", room: `latest/${n}` });
    await at.congest(ann, "latest/0");
    const half = "y".repeat(18_000);
    for (let n = 0; n < 10; n++) await at.publish(`latest/${n}`, ["a", half], ["b", half], ["c", half]);
    expect(ann.outbox.heldBytes).toBeGreaterThan(0);
    expect(ann.outbox.heldBytes).toBeLessThanOrEqual(outboxBytes / 4);
    await at.drain(ann);
    expect(ann.overflows).toBe(0);
    expect(ann.of("gap")).toHaveLength(10);
    expect(ann.of("message").length).toBe(1 + 2);
  });

  it("holds no more small messages than their bound in memory lets it", async () => {
    const at = await scene();
    const ann = await at.join("ann", "latest/1");
    await at.congest(ann, "latest/1");
    for (let n = 0; n < 500; n++) await at.publish("latest/1", [`e${n}`, n]);
    await at.drain(ann);
    const held = ann.of("message").length - 1;
    expect([held > 50, held < 150]).toEqual([true, true]);
    expect(stream(ann)[2]).toBe(`gap ${501 - held} slow`);
  });

  it("that is closed meanwhile resumes from where it was, and gets everything", async () => {
    const at = await scene();
    const ann = await at.join("ann", "latest/1");
    await at.congest(ann, "latest/1");
    await at.publish("latest/1", ["a", 1], ["a", 2]);
    ann.close(1012);
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined 0", "1 fill large"]);
    const { epoch } = await at.core.backend.state({ name: "latest/1", keep: { messages: 10, ms: 10_000 } });
    const again = await at.join("ann", "latest/1", { since: `${epoch}:1` });
    expect(stream(again)).toEqual(["joined 1", "2 a 1", "3 a 2"]);
  });

  it("without a log gets the newest of each event", async () => {
    const at = await scene();
    const ann = await at.join("ann", "live/latest");
    await at.congest(ann, "live/latest");
    await at.publish("live/latest", ["a", 1], ["b", 1], ["a", 2], ["own", 1, ann]);
    await at.drain(ann);
    expect(stream(ann)).toEqual(["joined", "fill large", "b 1", "a 2"]);
  });
});

describe("a connection that resumes in many rooms and reads slowly", () => {
  it("is sent no more than its outbox takes, and all of it in the end", async () => {
    const at = await scene();
    const names = Array.from({ length: 12 }, (_, n) => `plain/${n}`);
    for (const room of names) await at.publish(room, ["e", large]);
    const ann = at.core.connect("ann", { outboxBytes });
    ann.pipe.stall();
    for (const room of names) ann.says({ type: "join", room, history: 1 });
    await turnEnded(30);
    expect(ann.overflows).toBe(0);
    await at.drain(ann);
    expect(ann.of("message")).toHaveLength(names.length);
  });
});

describe("the policy of a room", () => {
  it("is to cut slow readers where the contract says nothing", async () => {
    const at = await scene();
    const ann = await at.join("ann", "plain");
    ann.pipe.stall();
    await at.publish("plain", ["e", large], ["e", large], ["e", large], ["e", large]);
    expect(ann.closeCode).toBe(4200);
    expect(at.core.counts.slow.dropped).toBe(0);
  });

  it("is refused where there is no such policy", () => {
    const slow = "keep" as "drop";
    expect(() => createHub({ rooms: { "chat/:room": { slow } } })).toThrow(
      "room pattern chat/:room: slow is one of disconnect, drop, latest, got keep",
    );
  });
});
