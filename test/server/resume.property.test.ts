import { array, assert, asyncProperty, constantFrom, integer, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCursor } from "../../src/protocol/cursor.ts";
import type { JsonObject } from "../../src/protocol/json.ts";
import { Core, type CorePeer } from "./support/core.ts";
import { turnEnded } from "./support/pipe.ts";

const room = "r";
const keepMessages = 25;
const seats = 4;

type Does =
  | "append"
  | "join"
  | "rejoin"
  | "resume"
  | "leave"
  | "vanish"
  | "stall"
  | "read"
  | "publish"
  | "age"
  | "wait";

interface Step {
  readonly does: Does;
  readonly seat: number;
  readonly number: number;
  readonly since: "own" | "back" | "ahead" | "other" | "none";
  readonly history: number;
}

const step = record<Step>({
  does: constantFrom<Does>(
    ...(["append", "append", "join", "rejoin", "resume", "resume", "resume", "leave"] as const),
    ...(["vanish", "stall", "read", "publish", "age", "wait", "wait", "wait", "wait"] as const),
  ),
  seat: integer({ min: 0, max: seats - 1 }),
  number: integer({ min: 0, max: 40 }),
  since: constantFrom("own", "own", "back", "ahead", "other", "none"),
  history: integer({ min: 0, max: 60 }),
});

/** What was true of the log when a join was asked for, and when it was answered. */
interface Join {
  readonly since: string | undefined;
  readonly headAsked: number;
  headAnswered: number;
}

/** One place in the room: connections follow each other on it, each with the cursor that the one before left. */
class Seat {
  readonly peers: CorePeer[] = [];
  readonly joins = new Map<string, Join>();
  cursor: string | undefined;
}

/** A room with its log, and all that was ever kept in it. */
class World {
  readonly core = new Core({ keep: { messages: keepMessages, ms: 60_000 } });
  readonly seats = Array.from({ length: seats }, () => new Seat());
  /** What was kept at each offset. */
  readonly kept = new Map<number, unknown>();
  epoch = "";
  #joins = 0;
  #values = 0;

  async open(delays: readonly number[]): Promise<void> {
    await this.core.open();
    this.epoch = (await this.core.backend.state(this.ref)).epoch;
    let next = 0;
    this.core.backend.hook = (call) => {
      // Appends keep their order, as every backend's do; all else may take its time before and after.
      const turns = call === "append" ? 0 : (delays[next++ % delays.length] ?? 0);
      return turns === 0 ? undefined : turnEnded(turns);
    };
    for (const seat of this.seats) this.connect(seat);
  }

  get ref() {
    return { name: room, keep: { messages: keepMessages, ms: 60_000 } };
  }

  get head(): number {
    return this.kept.size;
  }

  connect(seat: Seat): CorePeer {
    const peer = this.core.connect("ann", { outboxBytes: 300_000 });
    const send = peer.send.bind(peer);
    peer.send = (text) => {
      const { type, re } = JSON.parse(text) as JsonObject;
      const join = type === "joined" ? seat.joins.get(String(re)) : undefined;
      if (join !== undefined) join.headAnswered = this.head;
      send(text);
    };
    seat.peers.push(peer);
    return peer;
  }

  /** The seat's connection; another where the last one is gone. */
  peer(seat: Seat): CorePeer {
    const peer = seat.peers.at(-1)!;
    return peer.closed ? this.connect(seat) : peer;
  }

  append(count: number): void {
    const { kind } = this.core.catalog.find(room)!;
    for (let i = 0; i < count; i++) {
      const value = `${this.#values++} ${"x".repeat((i % 3) * 4_000)}`;
      this.core.publisher
        .submit({
          room,
          kind,
          event: "e",
          data: value,
          from: undefined,
          except: undefined,
          key: undefined,
          handle: undefined,
        })
        .then(({ outcome }) => outcome)
        .catch(expect.unreachable);
    }
  }

  join(seat: Seat, { since: kind, history }: Step, isFresh: boolean): void {
    const peer = this.peer(seat);
    const since = isFresh ? undefined : this.#since(seat, kind);
    const id = `j${this.#joins++}`;
    seat.joins.set(id, { since, headAsked: this.head, headAnswered: -1 });
    peer.says({ type: "join", id, room, ...(since !== undefined && { since }), ...(history > 10 && { history }) });
  }

  #since(seat: Seat, kind: Step["since"]): string | undefined {
    this.learn(seat);
    if (kind === "own") return seat.cursor;
    if (kind === "back") return `${this.epoch}:${Math.max(0, this.head - 7)}`;
    if (kind === "ahead") return `${this.epoch}:${this.head + 5}`;
    return kind === "other" ? `other:${this.head}` : undefined;
  }

  /** P-37: the cursor that the seat's client has. */
  learn(seat: Seat): void {
    for (const peer of seat.peers) {
      for (const frame of peer.frames) seat.cursor = cursorAfter(frame, this.epoch) ?? seat.cursor;
    }
  }
}

function cursorAfter(frame: JsonObject, epoch: string): string | undefined {
  if (frame["type"] === "joined" || frame["type"] === "gap") return String(frame["cursor"]);
  if (frame["type"] === "message" || frame["type"] === "skip") return `${epoch}:${String(frame["offset"])}`;
  return undefined;
}

/** Reads a connection's whole stream and fails on whatever breaks P-21, P-22 or P-32. Gives where it ended. */
function check(world: World, seat: Seat, peer: CorePeer, trimmed: number): number | undefined {
  let at: number | undefined;
  for (const frame of peer.frames) {
    const offset = Number(frame["offset"]);
    switch (frame["type"]) {
      case "joined":
        at = checkJoined(world, seat.joins.get(String(frame["re"]))!, frame, trimmed);
        break;
      case "message":
        expect(offset, "a message out of order").toBe(at! + 1);
        expect(frame["data"], "another message at this offset").toBe(world.kept.get(offset));
        at = offset;
        break;
      case "skip":
        expect(offset, "a skip out of order").toBe(at! + 1);
        at = offset;
        break;
      case "gap":
        expect(frame["reason"]).toBe("trimmed");
        expect(cursor(frame)).toBeGreaterThan(at!);
        expect(cursor(frame), "a gap over what is still there").toBeLessThanOrEqual(trimmed);
        at = cursor(frame);
        break;
      case "left":
        at = undefined;
        break;
      case "ack":
        // Invariant 4: what is acked stands in the log, at that offset. Each publish has its data for an id.
        expect([String(frame["cursor"]), world.kept.get(offset)]).toEqual([`${world.epoch}:${offset}`, frame["re"]]);
        break;
      case "presence":
        break;
      default:
        expect(frame).toMatchObject({ type: "error", code: "not_joined" });
    }
  }
  return at;
}

function checkJoined(world: World, join: Join, frame: JsonObject, trimmed: number): number {
  const at = cursor(frame);
  const past = at + Number(frame["replay"]);
  expect(String(frame["cursor"])).toBe(`${world.epoch}:${at}`);
  if (Number(frame["replay"]) > 0) {
    expect(past, "replay counts less than was there when asked").toBeGreaterThanOrEqual(join.headAsked);
    expect(past, "replay counts what was not there yet").toBeLessThanOrEqual(join.headAnswered);
  } else {
    expect(at).toBeLessThanOrEqual(join.headAnswered);
  }
  const since = join.since === undefined ? undefined : parseCursor(join.since);
  if (since === undefined) expect(frame["recovered"]).toBeUndefined();
  else if (frame["recovered"] === true) expect(frame["cursor"]).toBe(join.since);
  else {
    const isLost = since.epoch !== world.epoch || since.offset > join.headAsked || since.offset < trimmed;
    expect([frame["recovered"], isLost], `not recovered from ${join.since}`).toEqual([false, true]);
  }
  return at;
}

function cursor(frame: JsonObject): number {
  return parseCursor(String(frame["cursor"]))!.offset;
}

async function perform(world: World, one: Step): Promise<void> {
  const seat = world.seats[one.seat]!;
  const peer = seat.peers.at(-1)!;
  if (one.does === "append") world.append(one.number);
  else if (one.does === "join") world.join(seat, { ...one, history: 0 }, true);
  else if (one.does === "rejoin" || one.does === "resume") world.join(seat, one, false);
  else if (one.does === "leave") peer.says({ type: "leave", room });
  else if (one.does === "vanish") peer.vanish();
  else if (one.does === "stall") peer.pipe.stall();
  else if (one.does === "read") peer.pipe.resumeReading();
  else if (one.does === "publish")
    peer.says({ type: "publish", id: `by ${one.number}`, room, event: "e", data: `by ${one.number}`, echo: false });
  else if (one.does === "age") world.core.clock.advance(one.number * 1_000);
  else await pass(world, one.number);
}

/** Some turns of the event loop go by; mostly with a message in each. */
async function pass(world: World, turns: number): Promise<void> {
  for (let i = 0; i < turns % 12; i++) {
    await turnEnded(1);
    if (turns % 4 !== 0) world.append(1);
  }
}

/** Lets everything come to rest: all readers read, all that is under way ends. */
async function rest(world: World): Promise<void> {
  for (const { peers } of world.seats) for (const peer of peers) peer.pipe.resumeReading();
  const isBusy = (): boolean => world.seats.some(({ peers }) => peers.some((peer) => peer.session.pending > 0));
  do await turnEnded(20);
  while (isBusy());
  await turnEnded(60);
}

describe("a member's stream (invariants 2, 3 and 7)", () => {
  const steps = array(step, { minLength: 20, maxLength: 100 });
  const delays = array(integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 20 });

  it("rises by one from where it joined, whatever happens in between", { timeout: 60_000 }, async () => {
    const seen = { ack: 0, recovered: 0, lost: 0, gap: 0, skip: 0, message: 0 };
    await assert(
      asyncProperty(steps, delays, async (all, late) => {
        const world = new World();
        await world.open(late);
        const subscription = await world.core.backend.subscribe(world.ref, {
          appended: ({ offset, body }) => {
            const { data } = JSON.parse(`{${body}}`) as { data: unknown };
            world.kept.set(offset, data);
          },
          relayed: () => undefined,
        });
        for (const one of all) await perform(world, one);
        await rest(world);
        const { trimmed } = await world.core.backend.state(world.ref);
        for (const seat of world.seats) {
          for (const peer of seat.peers) {
            const at = check(world, seat, peer, trimmed);
            if (!peer.closed && at !== undefined)
              expect(at, "not at the head in the end (invariant 9)").toBe(world.head);
            for (const frame of peer.frames) {
              if (frame["recovered"] === true) seen.recovered++;
              if (frame["recovered"] === false) seen.lost++;
              if (typeof frame["type"] === "string" && frame["type"] in seen) seen[frame["type"] as "gap"]++;
            }
            peer.vanish();
          }
        }
        expect(world.core.rooms.size, "a room that nobody is in").toBe(0);
        subscription.close();
        await world.core.backend.close();
      }),
      { numRuns: 600 },
    );
    // The walk came by every place that it is here to judge.
    expect(Object.values(seen).every((count) => count > 0)).toBe(true);
  });
});
