import { randomFrom } from "../../support/random.ts";

export type FaultName =
  | "kill"
  | "stop"
  | "pause"
  | "pause-long"
  | "busy"
  | "client-cut"
  | "client-delay"
  | "client-lost-up"
  | "client-lost-down"
  | "client-half-open"
  | "slow-readers"
  | "burst"
  | "clock"
  | "revoke"
  | "engine-kill"
  | "engine-flush"
  | "engine-failover"
  | "engine-pause"
  | "engine-cut"
  | "engine-delay"
  | "engine-lost-up"
  | "engine-lost-down"
  | "engine-half-open";

export interface PlannedFault {
  readonly fault: FaultName;
  readonly atMs: number;
  readonly forMs: number;
  /** Which node, from 0. Of the engine's faults: whose way to it; the engine itself has no node. */
  readonly node: number;
  /** From 0 to 1: how much of it, where there is a how much. */
  readonly amount: number;
}

interface Kind {
  readonly weight: number;
  readonly ms: readonly [least: number, most: number];
  /** Is alone: none begins while it lasts. */
  readonly alone?: boolean;
  /** Only in runs that are longer than this. */
  readonly fromS?: number;
}

/** Longer than the lease of a node and than the silence that ends a connection. */
const longPauseMs = [17_000, 20_000] as const;

export const kinds: Readonly<Record<FaultName, Kind>> = {
  kill: { weight: 3, ms: [100, 1_500] },
  stop: { weight: 1, ms: [700, 1_500] },
  pause: { weight: 3, ms: [100, 2_500] },
  "pause-long": { weight: 1, ms: longPauseMs, fromS: 90 },
  busy: { weight: 2, ms: [500, 3_000] },
  "client-cut": { weight: 3, ms: [0, 0] },
  "client-delay": { weight: 2, ms: [500, 4_000] },
  "client-lost-up": { weight: 2, ms: [200, 3_000] },
  "client-lost-down": { weight: 2, ms: [200, 3_000] },
  // Long enough, in part, to be found out by silence alone.
  "client-half-open": { weight: 2, ms: [2_000, 15_000], fromS: 25 },
  "slow-readers": { weight: 2, ms: [1_000, 6_000] },
  burst: { weight: 2, ms: [0, 0] },
  // A token that was made by another clock is judged by the wrong one: nobody is revoked meanwhile.
  clock: { weight: 2, ms: [1_500, 4_000], alone: true },
  revoke: { weight: 3, ms: [0, 0] },
  "engine-kill": { weight: 2, ms: [200, 3_000] },
  "engine-flush": { weight: 2, ms: [0, 0] },
  "engine-failover": { weight: 3, ms: [6_000, 9_000], alone: true, fromS: 25 },
  "engine-pause": { weight: 3, ms: [200, 7_000] },
  "engine-cut": { weight: 3, ms: [0, 0] },
  "engine-delay": { weight: 2, ms: [500, 4_000] },
  "engine-lost-up": { weight: 2, ms: [200, 4_000] },
  "engine-lost-down": { weight: 2, ms: [200, 4_000] },
  "engine-half-open": { weight: 2, ms: [2_000, 15_000], fromS: 25 },
};

/** The faults of every node, whatever keeps its messages. */
export const nodeFaults: readonly FaultName[] = [
  ...(["kill", "stop", "pause", "pause-long", "busy", "client-cut", "client-delay", "client-lost-up"] as const),
  ...(["client-lost-down", "client-half-open", "slow-readers", "burst", "clock", "revoke"] as const),
];

const firstAtMs = 1_500;
/** Between the beginnings of two. */
const gapMs = [300, 2_500] as const;

/** What goes wrong when: the seed alone decides. All is over by the end of the run. */
export function planFaults(
  faults: readonly FaultName[],
  { seed, seconds, nodes }: { seed: number; seconds: number; nodes: number },
): readonly PlannedFault[] {
  const random = randomFrom(seed);
  const between = ([least, most]: readonly [number, number]): number => Math.round(least + random() * (most - least));
  const possible = faults.filter((fault) => (kinds[fault].fromS ?? 0) <= seconds);
  const planned: PlannedFault[] = [];
  const endMs = seconds * 1000;
  let atMs = firstAtMs;
  let overAtMs = 0;
  // Each kind comes once, in any order, before any comes twice: a short run tries as many as it can.
  let bag: FaultName[] = [];
  while (atMs < endMs) {
    if (bag.length === 0) bag = shuffled(possible, random);
    const fault = bag.pop();
    if (fault === undefined) break;
    const { alone = false, ms, weight } = kinds[fault];
    if (alone) atMs = Math.max(atMs, overAtMs);
    const forMs = between(ms);
    const node = Math.floor(random() * nodes);
    const amount = random();
    if (atMs + forMs >= endMs) {
      if (possible.every((one) => atMs + kinds[one].ms[0] >= endMs)) break;
      atMs += between(gapMs);
      continue;
    }
    planned.push({ fault, atMs, forMs, node, amount });
    overAtMs = Math.max(overAtMs, atMs + forMs);
    // Those that weigh more follow more closely, and some begin before the one before is over.
    const isOverlapped = !alone && random() < 0.35;
    atMs = (isOverlapped ? atMs : Math.max(atMs, alone ? overAtMs : atMs + forMs)) + between(gapMs) / weight;
    atMs = Math.round(atMs);
  }
  return planned;
}

function shuffled(faults: readonly FaultName[], random: () => number): FaultName[] {
  const all = [...faults];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [all[i], all[j]];
    if (a !== undefined && b !== undefined) [all[i], all[j]] = [b, a];
  }
  return all;
}
