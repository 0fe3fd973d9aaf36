import { describe, expect, it } from "vitest";
import { parseCursor } from "../../src/protocol/cursor.ts";
import { Cursors } from "../../src/server/sse/cursors.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { turnEnded } from "../server/support/pipe.ts";
import { listen, member, type EventReader, type StreamEvent } from "./support/reader.ts";

const large = "x".repeat(50_000);
const rooms = { drop: { slow: "drop" }, latest: { slow: "latest" } } as const;

/** Stops reading while 30 MB are published, more than any system's own buffers; gives all events after it reads on. */
async function stallIn(room: "drop" | "latest"): Promise<{ port: number; reader: EventReader; events: StreamEvent[] }> {
  const { hub, port } = await serve({ rooms, limits: { outboxBytes: 1_000_000 }, keep: { messages: 10_000 } });
  const reader = await member(port, [room], { token: "ann" });
  reader.response.pause();
  reader.socket.pause();
  for (let n = 1; n <= 600; n++) {
    await hub.room(room).publish(`e${n % 2}`, large);
    await turnEnded(1);
  }
  reader.socket.resume();
  reader.response.resume();
  const events: StreamEvent[] = [];
  const isTold = (): boolean => events.some(({ frame }) => frame["type"] === "gap" || frame["type"] === "skip");
  while (!isTold()) events.push(await reader.nextEvent());
  await hub.room(room).publish("end", null);
  while (events.at(-1)?.frame["event"] !== "end") events.push(await reader.nextEvent());
  return { port, reader, events };
}

/** P-71: the id of each event is the client's cursor after it. */
function idsFollow(room: string, events: readonly StreamEvent[]): void {
  for (const { id, frame } of events) {
    const { type, offset, cursor } = frame;
    const at = type === "gap" ? parseCursor(String(cursor))?.offset : offset;
    expect(Cursors.read([room], id ?? "")?.of(room)?.offset).toBe(at);
  }
}

describe("a stream that is not read", () => {
  it("by drop is told of the gap, whose id is its cursor, and resumes from there", { timeout: 20_000 }, async () => {
    const { port, reader, events } = await stallIn("drop");
    idsFollow("drop", events);
    const gap = events.find(({ frame }) => frame["type"] === "gap")!;
    reader.destroy();
    const again = await listen(port, ["drop"], { token: "ann", lastEventId: gap.id! });
    const { offset } = parseCursor(String(gap.frame["cursor"]))!;
    await again.expect({ type: "joined", recovered: true, cursor: gap.frame["cursor"]! });
    await again.expect({ type: "message", offset: offset + 1 });
  });

  it("by latest gets the newest of each event, and ids that move with skip", { timeout: 20_000 }, async () => {
    const { events } = await stallIn("latest");
    idsFollow("latest", events);
    expect(events.slice(-4).map(({ frame }) => [frame["type"], frame["event"] ?? "", frame["offset"]])).toEqual([
      ["skip", "", 598],
      ["message", "e1", 599],
      ["message", "e0", 600],
      ["message", "end", 601],
    ]);
  });
});

describe("the last event of a stream", () => {
  it("has the id of what was sent, not of what its rooms had for it when it was closed (P-71)", async () => {
    const { hub, port } = await serve();
    const reader = await member(port, ["a"], { token: "ann" });
    await hub.room("a").publish("e", "one");
    await reader.expect({ type: "message", data: "one" });
    // Both in one turn: the message waits for the turn's end, and the close does not.
    const published = hub.room("a").publish("e", "two");
    await Promise.all([published, hub.user("ann").disconnect()]);
    await reader.ended();
    const seen = reader.pending().filter(({ frame }) => frame["type"] === "message");
    const again = await listen(port, ["a"], { token: "ann", lastEventId: reader.lastId });
    await again.expect({ type: "joined", recovered: true, replay: 1 - seen.length });
    expect(hub.counts().connections).toBe(1);
    await eventually(() => hub.room("a").here.size === 1);
  });
});
