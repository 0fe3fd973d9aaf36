import { array, assert, asyncProperty, boolean, constantFrom, integer, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCursor } from "../../src/protocol/cursor.ts";
import type { JsonObject } from "../../src/protocol/json.ts";
import { Core, type CorePeer } from "./support/core.ts";
import { textsOf, turnEnded } from "./support/pipe.ts";

const rooms = {
  drop: { slow: "drop" },
  latest: { slow: "latest" },
  "live/drop": { slow: "drop", keep: false },
  "live/latest": { slow: "latest", keep: false },
} as const;
type RoomName = keyof typeof rooms;
const names = Object.keys(rooms) as RoomName[];
const events = ["a", "b", "c", "d", "e", 'quoted "f"'];
/** A congested outbox holds more than its stream's own mark, so that `drain` tells when it has drained. */
const outboxBytes = 140_000;
const seats = 2;

type Does = "publish" | "stall" | "read" | "rejoin" | "resume" | "leave" | "vanish" | "wait";

interface Step {
  readonly does: Does;
  readonly seat: number;
  readonly room: RoomName;
  readonly event: string;
  readonly count: number;
  readonly bytes: number;
  /** The seat's own message, which it does not get. */
  readonly own: boolean;
}

const step = record<Step>({
  does: constantFrom<Does>(
    ...(["publish", "publish", "publish", "publish", "publish", "stall", "stall", "read"] as const),
    ...(["rejoin", "resume", "leave", "vanish", "wait", "wait"] as const),
  ),
  seat: integer({ min: 0, max: seats - 1 }),
  room: constantFrom(...names),
  event: constantFrom(...events),
  count: integer({ min: 1, max: 8 }),
  bytes: integer({ min: 0, max: 20_000 }),
  own: boolean(),
});

/** A message as it was published. */
interface Sent {
  readonly n: number;
  readonly event: string;
  /** The connection that does not get it. */
  readonly except: string | undefined;
}

class World {
  readonly core = new Core({ rooms, keep: { messages: 100_000 } });
  readonly seats: CorePeer[][] = [];
  /** All that was published, by room; in a room with a log, item i has the offset i + 1. */
  readonly sent = new Map<RoomName, Sent[]>(names.map((name) => [name, []]));
  readonly epochs = new Map<RoomName, string>();

  async open(): Promise<void> {
    await this.core.open();
    for (let seat = 0; seat < seats; seat++) this.seats.push([this.connect(seat)]);
    await turnEnded(10);
    for (const name of names) this.epochs.set(name, this.core.rooms.get(name)!.epoch);
  }

  connect(seat: number): CorePeer {
    const peer = this.core.connect(`user${seat}`, { outboxBytes });
    for (const room of names) peer.says({ type: "join", room });
    return peer;
  }

  /** The seat's connection; another where the last one is gone. */
  peer(seat: number): CorePeer {
    const peers = this.seats[seat]!;
    const peer = peers.at(-1)!;
    if (!peer.closed) return peer;
    const next = this.connect(seat);
    peers.push(next);
    return next;
  }

  publish(room: RoomName, event: string, bytes: number, except: string | undefined): void {
    const { kind } = this.core.catalog.find(room)!;
    const sent = this.sent.get(room)!;
    const n = sent.length + 1;
    sent.push({ n, event, except });
    this.core.publisher
      .submit({
        room,
        kind,
        event,
        data: { n, pad: "x".repeat(bytes) },
        from: undefined,
        except,
        key: undefined,
        handle: undefined,
      })
      .then(({ outcome }) => outcome)
      .catch(expect.unreachable);
  }

  /** P-37: where the peer's client stands in the room. */
  cursor(peer: CorePeer, room: RoomName): string | undefined {
    let at: string | undefined;
    for (const frame of framesIn(peer, room)) {
      const { type, offset, cursor } = frame;
      if (type === "joined" || type === "gap") at = cursor === undefined ? undefined : String(cursor);
      else if (offset !== undefined && (type === "message" || type === "skip"))
        at = `${this.epochs.get(room)}:${String(offset)}`;
    }
    return at;
  }
}

/** What the peer has read, each frame parsed once. */
const framesOf = new WeakMap<CorePeer, { chunks: number; frames: JsonObject[] }>();

function framesIn(peer: CorePeer, room: RoomName): JsonObject[] {
  const known = framesOf.get(peer) ?? { chunks: 0, frames: [] };
  framesOf.set(peer, known);
  const { written } = peer.pipe;
  for (const text of textsOf(Buffer.concat(written.slice(known.chunks)))) known.frames.push(JSON.parse(text));
  known.chunks = written.length;
  return known.frames.filter((frame) => frame["room"] === room);
}

async function perform(world: World, one: Step): Promise<void> {
  const { does, room } = one;
  const peer = world.peer(one.seat);
  if (does === "publish") {
    for (let i = 0; i < one.count; i++) world.publish(room, one.event, one.bytes, one.own ? peer.id : undefined);
  } else if (does === "stall") peer.pipe.stall();
  else if (does === "read") peer.pipe.resumeReading();
  else if (does === "rejoin") peer.says({ type: "join", room });
  else if (does === "resume") {
    const since = world.cursor(peer, room);
    peer.says({ type: "join", room, ...(since !== undefined && { since }) });
  } else if (does === "leave") {
    peer.says({ type: "leave", room });
    peer.says({ type: "join", room });
  } else if (does === "vanish") peer.vanish();
  await turnEnded(does === "publish" ? 1 : one.count);
  for (const { outbox } of world.seats.flat()) {
    expect(outbox.waitingBytes + outbox.heldBytes, "more than the bound").toBeLessThanOrEqual(outboxBytes);
    expect(outbox.heldBytes, "bytes that were given back twice").toBeGreaterThanOrEqual(0);
  }
}

/** What one stream in a kept room tells, from its last `joined` on; fails on a hole that nothing announced. */
function readKept(
  world: World,
  peer: CorePeer,
  room: RoomName,
): { from: number; at: number; lost: number } | undefined {
  const sent = world.sent.get(room)!;
  const policy = rooms[room].slow;
  let stream: { from: number; at: number; lost: number } | undefined;
  for (const frame of framesIn(peer, room)) {
    const offset = Number(frame["offset"]);
    const cursor = frame["cursor"] === undefined ? 0 : parseCursor(String(frame["cursor"]))!.offset;
    switch (frame["type"]) {
      case "joined":
        // P-24: joined again without `since`, it tells where the stream stands, and that goes on.
        stream =
          frame["recovered"] === undefined && stream?.at === cursor ? stream : { from: cursor, at: cursor, lost: 0 };
        break;
      case "left":
        stream = undefined;
        break;
      case "message": {
        expect(offset, "a hole that nothing announced").toBe(stream!.at + 1);
        expect([frame["event"], (frame["data"] as JsonObject)["n"]]).toEqual([sent[offset - 1]!.event, offset]);
        stream!.at = offset;
        break;
      }
      case "skip":
        expect(offset).toBeGreaterThan(stream!.at);
        for (const { n, event, except } of sent.slice(stream!.at, offset)) {
          const isReplaced = policy === "latest" && sent.some((later) => later.n > n && later.event === event);
          expect(except === peer.id || isReplaced, `${event} ${n} was skipped`).toBe(true);
        }
        stream!.at = offset;
        break;
      case "gap":
        expect(frame["reason"]).toBe("slow");
        expect(cursor).toBeGreaterThan(stream!.at);
        stream!.at = stream!.lost = cursor;
        break;
      default:
        expect(frame["type"]).toBe("error");
    }
  }
  return stream;
}

/** By `latest`, the newest of each event has come, but for what a gap told of. */
function endsWithNewest(
  world: World,
  peer: CorePeer,
  room: RoomName,
  { from, lost }: { from: number; lost: number },
): void {
  const got = new Set(framesIn(peer, room).map(({ offset }) => offset));
  for (const event of events) {
    const newest = world.sent.get(room)!.findLast((one) => one.event === event && one.except !== peer.id);
    if (newest === undefined || newest.n <= Math.max(from, lost)) continue;
    expect(got.has(newest.n), `the newest ${event}, ${newest.n}, after a gap at ${lost}`).toBe(true);
  }
}

/** In a room without a log: values rise, and by `drop` each hole has a gap in it. Gives the last value and how it ended. */
function readLive(world: World, peer: CorePeer, room: RoomName): void {
  const sent = world.sent.get(room)!;
  const policy = rooms[room].slow;
  const gets = (n: number): boolean => sent[n - 1]!.except !== peer.id;
  let at: number | undefined;
  let hasGap = false;
  let newest = new Map<string, number>();
  for (const { type, data, event, cursor } of framesIn(peer, room)) {
    if (type === "joined") {
      expect(cursor).toBeUndefined();
      at = undefined;
      hasGap = false;
      newest = new Map();
    } else if (type === "gap") {
      expect(cursor).toBeUndefined();
      hasGap = true;
    } else if (type === "message") {
      const n = Number((data as JsonObject)["n"]);
      if (at !== undefined) {
        expect(n).toBeGreaterThan(at);
        const between = sent.slice(at, n - 1).filter((one) => gets(one.n));
        if (policy === "drop") expect(between.length > 0, `${between.length} left out before ${n}`).toBe(hasGap);
      }
      at = n;
      hasGap = false;
      newest.set(String(event), n);
    }
  }
  if (at === undefined || peer.closed) return;
  const after = sent.slice(at).filter((one) => gets(one.n));
  if (policy === "drop") expect(after.length > 0 && !hasGap, "left out at the end, untold").toBe(false);
  const told = framesIn(peer, room).some(({ type }) => type === "gap");
  if (policy === "latest" && !told) {
    for (const [event, n] of newest)
      expect(sent.findLast((one) => one.event === event && gets(one.n))!.n, `the newest ${event}`).toBe(n);
  }
}

describe("members who read slowly, in rooms with a policy for them", () => {
  const steps = array(step, { minLength: 20, maxLength: 90 });

  it(
    "see rising offsets, every hole announced, and by latest the newest of each event",
    { timeout: 60_000 },
    async () => {
      const seen = { gap: 0, skip: 0, message: 0, dropped: 0, replaced: 0 };
      await assert(
        asyncProperty(steps, async (all) => {
          const world = new World();
          await world.open();
          for (const one of all) await perform(world, one);
          for (const peer of world.seats.flat()) peer.pipe.resumeReading();
          await turnEnded(60);
          for (const peer of world.seats.flat()) {
            expect(peer.overflows, "cut, though all that was sent could be left out").toBe(0);
            for (const room of ["drop", "latest"] as const) {
              const stream = readKept(world, peer, room);
              if (stream === undefined || peer.closed) continue;
              expect(stream.at, "not at the head in the end").toBe(world.sent.get(room)!.length);
              if (room === "latest") endsWithNewest(world, peer, room, stream);
            }
            for (const room of ["live/drop", "live/latest"] as const) readLive(world, peer, room);
            for (const { type } of names.flatMap((room) => framesIn(peer, room)))
              if (typeof type === "string" && type in seen) seen[type as "gap"]++;
            expect(peer.outbox.heldBytes, "held for one who has it all").toBe(0);
          }
          const { slow } = world.core.counts;
          seen.dropped += slow.dropped;
          seen.replaced += slow.replaced;
          for (const peer of world.seats.flat()) peer.vanish();
          expect(world.core.rooms.size).toBe(0);
          await world.core.backend.close();
        }),
        { numRuns: 100 },
      );
      // The walk came by every place that it is here to judge.
      expect(Object.entries(seen).filter(([, count]) => count < 100)).toEqual([]);
    },
  );
});
