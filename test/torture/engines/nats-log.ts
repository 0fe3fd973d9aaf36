import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { EngineLog } from "./engine.ts";

const stream = "fanfare-log";
const withinMs = 5_000;
/** A node stays subscribed to a room for some seconds after the last member left. */
const goneWithinMs = 15_000;

interface Raw {
  readonly seq: number;
  readonly headers: string;
  readonly text: string;
}

/** A room's log as the stream itself holds it, past all nodes: see the argument in docs/nats.md, points 1, 7 and 8. */
export async function logIn(urls: readonly string[], room: string): Promise<EngineLog> {
  const connection = await connect({ servers: [...urls] });
  try {
    const { config } = (await ask(connection, `STREAM.INFO.${stream}`, {})) as { config: { subjects: string[] } };
    const subjectOf = (what: string): string => config.subjects[0]?.replace("*", what) ?? "";
    const life = await message(connection, { last_by_subj: subjectOf("~life") });
    const { name = "" } = JSON.parse(life?.text ?? "{}") as { name?: string };
    return logOf(await all(connection, subjectOf(encoded(room))), name);
  } finally {
    await connection.close();
  }
}

/** What is left in NATS when all have gone, or 0: subscriptions of rooms, readers that stay, and a stream that keeps for ever. */
export async function leftIn(urls: readonly string[], rooms: readonly string[]): Promise<Record<string, number>> {
  const connection = await connect({ servers: [...urls] });
  const untilMs = performance.now() + goneWithinMs;
  try {
    for (;;) {
      const counts = await countsOf(connection, rooms);
      if (performance.now() > untilMs || Object.values(counts).every((count) => count === 0)) return counts;
      await wait(500);
    }
  } finally {
    await connection.close();
  }
}

async function countsOf(connection: NatsConnection, rooms: readonly string[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const room of rooms) {
    counts[`subscriptions of ${room}`] = (await isHeard(connection, `fanfare.room.${encoded(room)}.w`)) ? 1 : 0;
  }
  for (const name of [stream, "fanfare-brief", "fanfare-lasting"]) {
    const { config } = (await ask(connection, `STREAM.INFO.${name}`, {})) as Info;
    const { consumers = [] } = (await ask(connection, `CONSUMER.LIST.${name}`, {})) as Readers;
    // Others go by themselves, once a server that was killed with them is up and has waited for them.
    counts[`readers of ${name} that stay`] = consumers.filter((each) => !each.config.inactive_threshold).length;
    counts[`without expiry: ${name}`] = config.max_age === 0 ? 1 : 0;
  }
  return counts;
}

interface Info {
  readonly config: { readonly max_age: number };
}

interface Readers {
  readonly consumers?: readonly { readonly config: { readonly inactive_threshold?: number } }[];
}

/** The messages of the room's newest life; marks are none. */
function logOf(raw: readonly Raw[], streamLife: string): EngineLog {
  const stamped = raw.map(({ seq, headers, text }) => {
    const [, kind, life = "", head] = /^Fanfare: ?(\S+) (\S+) \S+ \S+ (\d+)\r?$/m.exec(headers) ?? [];
    return { seq, text, kind, life, head: Number(head) };
  });
  const newest = stamped.at(-1);
  const epoch = createHash("sha256").update(`${streamLife}\n${newest?.life}`).digest("base64url").slice(0, 22);
  const own = stamped.filter(({ life, kind }) => life === newest?.life && kind === "entry");
  const entries = own.map(({ seq, text }, i) => ({
    offset: seq,
    prev: own[i - 1]?.seq ?? 0,
    body: text.slice(text.indexOf("\n") + 1),
  }));
  return { epoch, head: newest?.kind === "mark" ? newest.head : (newest?.seq ?? 0), entries };
}

/** All of a subject, oldest first, from the stream's leader. */
async function all(connection: NatsConnection, subject: string): Promise<Raw[]> {
  const found: Raw[] = [];
  for (let seq = 1; ; seq = (found.at(-1)?.seq ?? 0) + 1) {
    const next = await message(connection, { seq, next_by_subj: subject });
    if (next === undefined) return found;
    found.push(next);
  }
}

async function message(connection: NatsConnection, which: object): Promise<Raw | undefined> {
  const answer = (await ask(connection, `STREAM.MSG.GET.${stream}`, which)) as {
    message?: { seq: number; hdrs?: string; data?: string };
  };
  if (answer.message === undefined) return undefined;
  const { seq, hdrs = "", data = "" } = answer.message;
  return { seq, headers: Buffer.from(hdrs, "base64").toString(), text: Buffer.from(data, "base64").toString() };
}

async function ask(connection: NatsConnection, what: string, payload: object): Promise<unknown> {
  return (await connection.request(`$JS.API.${what}`, JSON.stringify(payload), { timeout: withinMs })).json();
}

/** Whether somebody listens there: a node answers, and of nobody the server says so. */
async function isHeard(connection: NatsConnection, subject: string): Promise<boolean> {
  return connection.request(subject, "", { timeout: withinMs }).then(
    () => true,
    () => false,
  );
}

function encoded(room: string): string {
  return Buffer.from(room).toString("base64url");
}
