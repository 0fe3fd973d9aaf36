import { setTimeout as wait } from "node:timers/promises";
import type { Fault } from "./fault.ts";
import type { Victim } from "./victim.ts";

const maxRssBytes = 640 * 1_048_576;
const maxOutboxBytes = 100_000;

export interface Baseline {
  readonly sockets: number;
}

/** What may be there when nobody attacks: the neighbour's two connections, their room and their member. */
export async function checkLeftovers(victim: Victim, base: Baseline, patienceMs: number): Promise<Fault | undefined> {
  const giveUpAt = performance.now() + 3 * patienceMs;
  for (;;) {
    if (victim.fault !== undefined) return victim.fault;
    const left = await whatIsLeft(victim, base, patienceMs);
    if (left === undefined) return undefined;
    if (performance.now() > giveUpAt) return { kind: "left behind", what: left };
    await wait(50);
  }
}

async function whatIsLeft(victim: Victim, base: Baseline, patienceMs: number): Promise<string | undefined> {
  const sockets = victim.sockets() - base.sockets;
  if (sockets > 0) return `${sockets} sockets more than before`;
  const rss = victim.rssBytes();
  if (rss > maxRssBytes) return `${Math.round(rss / 1_048_576)} MB of memory`;
  const metrics = await readMetrics(victim.port);
  const value = (name: string): number => metrics.get(name) ?? 0;
  const exactly: readonly (readonly [string, number])[] = [
    ['fanfare_connections{kind="websocket"}', 2],
    ['fanfare_connections{kind="sse"}', 0],
    ["fanfare_rooms", 1],
    ["fanfare_members", 1],
  ];
  const odd = exactly.find(([name, expected]) => value(name) !== expected);
  if (odd !== undefined) return `${odd[0]} is ${value(odd[0])}, not ${odd[1]}`;
  if (value("fanfare_outbox_bytes") > maxOutboxBytes) return `${value("fanfare_outbox_bytes")} bytes for readers`;
  const lagMs = value("fanfare_nodejs_eventloop_lag_max_seconds") * 1_000;
  // The first reading covers the attack; it is told once, and the next begins anew.
  if (lagMs > 2 * patienceMs) throw new Stalled(lagMs);
  return undefined;
}

/** The event loop stood still, which no waiting makes undone. */
export class Stalled extends Error {
  constructor(lagMs: number) {
    super(`the event loop stood still for ${Math.round(lagMs)} ms`);
  }
}

async function readMetrics(port: number): Promise<Map<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: "close" } });
  const lines = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}
