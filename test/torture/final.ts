import { setTimeout as wait } from "node:timers/promises";
import type { JsonObject } from "../../src/protocol/json.ts";
import { call } from "./actors/http.ts";
import type { Engine } from "./engines/engine.ts";
import type { Kept } from "./records.ts";
import type { World } from "./world.ts";

const pollMs = 200;
/** After a busy run one room has some thousands of messages; beyond this they are not read. */
const mostPages = 1_000;
const leftWithinMs = 20_000;
const answeredWithinMs = 20_000;

/** All that is known of a node here: by its name the world finds the way to it. */
interface Named {
  readonly name: string;
}

/** Who should be where. */
export interface Present {
  readonly rooms: readonly string[];
  users(room: string): readonly string[];
}

/** What is to be zero at a node when all have gone. */
const gauges = ["fanfare_connections", "fanfare_rooms", "fanfare_members", "fanfare_outbox_bytes"] as const;

/** Asks every node who is there until all say what is true, or the time is over; the last answers are recorded. */
export async function presenceReads(
  world: World,
  nodes: readonly Named[],
  { rooms, users }: Present,
  untilMs: number,
): Promise<void> {
  const truth = new Map(rooms.map((room) => [room, users(room)]));
  for (;;) {
    const found = await Promise.all(nodes.flatMap((node) => rooms.map((room) => membersOf(world, node.name, room))));
    const isTrue = found.every((one) => one.users.join() === truth.get(one.room)?.join());
    if (!isTrue && world.recorder.now() < untilMs) {
      await wait(pollMs);
      continue;
    }
    // What watchers are told comes at the same time, by another way.
    await wait(pollMs);
    for (const [room, there] of truth) world.recorder.add({ kind: "truth", room, users: there });
    for (const one of found) world.recorder.add({ kind: "there", ...one });
    return;
  }
}

interface Members {
  readonly source: string;
  readonly room: string;
  readonly users: readonly string[];
  readonly members: number;
}

async function membersOf(world: World, node: string, room: string): Promise<Members> {
  const { body } = await call(world, { actor: "reader", method: "GET", path: `/v1/rooms/${room}/members`, node });
  const users = (body["users"] ?? []) as { user: string }[];
  return { source: node, room, users: users.map(({ user }) => user).sort(), members: Number(body["members"]) };
}

/** The whole log of each room, from each node and from the engine. */
export async function finalReads(
  world: World,
  nodes: readonly Named[],
  rooms: readonly string[],
  engine?: Pick<Engine, "log">,
): Promise<void> {
  for (const room of rooms) {
    for (const { name } of nodes) {
      const kept = await logFrom(world, name, room);
      world.recorder.add({ kind: "kept", ...kept });
    }
    const own = await engine?.log?.(room);
    if (own !== undefined) {
      const entries = own.entries.map(({ offset, prev, body }) => ({
        offset,
        ...(prev !== undefined && { prev }),
        id: idOf(JSON.parse(body.startsWith("{") ? body : `{${body}}`) as JsonObject),
      }));
      world.recorder.add({ kind: "kept", source: "engine", room, epoch: own.epoch, head: own.head, entries });
    }
  }
}

async function logFrom(world: World, node: string, room: string): Promise<Omit<Kept, "at" | "kind">> {
  const entries: { offset: number; prev?: number; id: string }[] = [];
  let before: number | undefined;
  let cursor = "";
  for (let page = 0; page < mostPages; page++) {
    const query = before === undefined ? "" : `&before=${before}`;
    const path = `/v1/rooms/${room}/messages?limit=100${query}`;
    const { status, body } = await answered(world, { actor: "reader", method: "GET", path, node });
    if (status !== 200) throw new Error(`${node} does not give the log of ${room}: ${status} ${JSON.stringify(body)}`);
    cursor = String(body["cursor"]);
    const messages = body["messages"] as JsonObject[];
    entries.unshift(
      ...messages.map((message) => ({
        offset: Number(message["offset"]),
        ...(message["prev"] !== undefined && { prev: Number(message["prev"]) }),
        id: idOf(message),
      })),
    );
    before = entries[0]?.offset;
    if (body["more"] !== true) break;
  }
  const [epoch = "", head = ""] = cursor.split(":");
  return { source: node, room, epoch, head: Number(head), entries };
}

/** As a client does: what cannot be answered now (a busy machine) is asked again, for a while. */
async function answered(world: World, request: Parameters<typeof call>[1]): ReturnType<typeof call> {
  const untilMs = world.recorder.now() + answeredWithinMs;
  for (;;) {
    const answer = await call(world, request);
    if (answer.status !== 503 || world.recorder.now() > untilMs) return answer;
    await wait(pollMs);
  }
}

/** The name that a message's data hold. */
export function idOf(message: JsonObject): string {
  return String((message["data"] as JsonObject | null)?.["id"]);
}

/** Waits until nothing is left anywhere, or the time is over; the last counts are recorded. */
export async function leftOvers(
  world: World,
  nodes: readonly Named[],
  rooms: readonly string[],
  engine: Engine,
  graceMs: number,
): Promise<void> {
  const untilMs = world.recorder.now() + graceMs + leftWithinMs;
  for (;;) {
    const counts = await Promise.all(nodes.map((node) => countsOf(world, node.name)));
    const isNone = counts.every((one) => Object.values(one).every((count) => count === 0));
    if (!isNone && world.recorder.now() < untilMs) {
      await wait(pollMs);
      continue;
    }
    nodes.forEach(({ name }, i) => world.recorder.add({ kind: "left", source: name, counts: counts[i] ?? {} }));
    break;
  }
  const counts = await engine.left?.(rooms);
  if (counts !== undefined) world.recorder.add({ kind: "left", source: "engine", counts });
}

async function countsOf(world: World, node: string): Promise<Record<string, number>> {
  const { body } = await call(world, { actor: "reader", method: "GET", path: "/metrics", node });
  const lines = String(body["text"]).split("\n");
  const sumOf = (name: string): number => {
    const values = lines.filter((line) => new RegExp(`^${name}[ {]`).test(line));
    return values.length === 0 ? Number.NaN : values.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  return Object.fromEntries(gauges.map((name) => [name, sumOf(name)]));
}
