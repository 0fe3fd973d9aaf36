import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { randomFrom } from "../support/random.ts";
import type { MakeClient } from "./actors/app.ts";
import { Cast, rooms } from "./actors/cast.ts";
import type { Device } from "./actors/device.ts";
import { headWithinMs } from "./check/index.ts";
import type { Engine } from "./engines/engine.ts";
import { engines } from "./engines/index.ts";
import { doings, type Undo } from "./faults/do.ts";
import { nodeFaults, planFaults, type FaultName, type PlannedFault } from "./faults/schedule.ts";
import { finalReads, leftOvers, presenceReads } from "./final.ts";
import type { Mangle } from "./link.ts";
import { TortureNode } from "./node.ts";
import { Recorder, type Rec } from "./records.ts";
import type { World } from "./world.ts";

export interface TortureOptions {
  /** A name of `engines`. */
  readonly backend: string;
  readonly seconds: number;
  readonly seed: number;
  /** Absent: as many as the backend is for. */
  readonly nodes?: number;
  /** Messages a second. Default 60. */
  readonly perS?: number;
  /** Only these, where the backend has them. */
  readonly faults?: readonly FaultName[];
  /** Planted bugs: a server with a bug of its own, in place of `--backend`, … */
  readonly serveArgs?: readonly string[];
  readonly serveEnv?: Readonly<Record<string, string>>;
  /** … or what comes from it is changed on its way to clients. */
  readonly mangle?: Mangle;
  /** … or the client that apps use is another. */
  readonly makeClient?: MakeClient;
  /** Told what is done as it is done. */
  readonly tell?: (line: string) => void;
}

const pingMs = 2_000;
const graceMs = 2_000;
const silenceMs = pingMs + 10_000;
const keepMessages = 50_000;
const rssGrowthBytes = 160 * 1_048_576;
const sampleMs = 1_000;
/** A connection that nobody told of its end is found dead within the silence; then it comes back. */
const backWithinMs = silenceMs + 18_000;
const drainWithinMs = 30_000;
/** A lease (15 s) and its sweep. */
const presenceWithinMs = 20_000 + graceMs;

/** Faults of the engine itself or of all nodes. */
const ofAll: ReadonlySet<FaultName> = new Set([
  ...(["engine-kill", "engine-flush", "engine-failover", "engine-pause"] as const),
  ...(["clock", "revoke", "burst", "slow-readers"] as const),
]);

const serveArgs = [
  ...["--limit", "requests_per_s=5000", "--limit", `ping_ms=${pingMs}`, "--limit", `grace_ms=${graceMs}`],
  ...["--limit", "outbox_bytes=262144", "--keep-messages", String(keepMessages)],
  ...["--log-level", "warn", "--drain-ms", "500"],
];

/** Does all of it, and gives what was recorded. Rejects where it could not even begin. */
export async function torture(options: TortureOptions): Promise<readonly Rec[]> {
  const folder = await mkdtemp(join(tmpdir(), "fanfare-torture-"));
  const run = new Run(options, folder);
  try {
    await run.begin();
    await run.through();
  } finally {
    await run.end();
    await rm(folder, { recursive: true, force: true });
  }
  return run.recorder.records;
}

class Run {
  readonly recorder: Recorder;
  readonly #options: TortureOptions;
  readonly #folder: string;
  readonly #random: () => number;
  readonly #nodes: TortureNode[] = [];
  readonly #refusals = new Map<Device, number>();
  #engine: Engine | undefined;
  #cast: Cast | undefined;
  #calls = 0;
  #sampler: NodeJS.Timeout | undefined;

  constructor(options: TortureOptions, folder: string) {
    const startedAt = performance.now();
    this.recorder = new Recorder(() => performance.now() - startedAt);
    this.#options = options;
    this.#folder = folder;
    this.#random = randomFrom(options.seed + 1);
  }

  async begin(): Promise<void> {
    const { backend, seed } = this.#options;
    const kind = engines[backend];
    if (kind === undefined) throw new Error(`--backend is one of ${Object.keys(engines).join(", ")}, not ${backend}`);
    const count = this.#options.nodes ?? kind.nodes;
    if (count > kind.mostNodes) throw new Error(`${backend} serves ${kind.mostNodes} node alone, not ${count}`);
    this.#engine = await kind.start({ folder: this.#folder, recorder: this.recorder, seed });
    const { losing } = this.#engine;
    this.recorder.add({ kind: "begun", backend, seed, losing, keepMessages, rssGrowthBytes, silenceMs });
    for (let i = 0; i < count; i++) this.#nodes.push(await this.#makeNode(`node-${i + 1}`));
    await Promise.all(this.#nodes.map((node) => node.start()));
    const { perS = 60, makeClient } = this.#options;
    this.#cast = new Cast(this.#world(), { perS, visitors: 3, ...(makeClient !== undefined && { makeClient }) });
    this.#sampler = setInterval(() => this.#sample(), sampleMs);
  }

  async through(): Promise<void> {
    const cast = this.#started(this.#cast);
    await this.#reached(() => cast.away.length === 0, backWithinMs);
    await this.#faults();
    this.recorder.add({ kind: "mark", mark: "healed" });
    const healedAt = this.recorder.now();
    cast.settle();
    await this.#reached(() => cast.away.length === 0, backWithinMs);
    this.recorder.add({ kind: "mark", mark: "back", who: cast.away });
    await this.#lastWords(cast);
    await this.#quiet(cast);
    const present = { rooms, users: (room: string) => cast.users(room) };
    await presenceReads(this.#world(), this.#nodes, present, healedAt + presenceWithinMs);
    for (const there of cast.appsThere) this.recorder.add({ kind: "there", ...there });
    await finalReads(this.#world(), this.#nodes, rooms, this.#started(this.#engine));
    await cast.end();
    this.recorder.add({ kind: "mark", mark: "gone" });
    await leftOvers(this.#world(), this.#nodes, rooms, this.#started(this.#engine), graceMs);
  }

  async end(): Promise<void> {
    clearInterval(this.#sampler);
    await this.#cast?.end();
    for (const node of this.#nodes) await node.end();
    await this.#engine?.end();
  }

  async #makeNode(name: string): Promise<TortureNode> {
    const args: string[] = [...serveArgs];
    const { mangle, serveEnv: env } = this.#options;
    const node = await TortureNode.make({ name, args, env, folder: this.#folder, recorder: this.recorder, mangle });
    args.push(...(this.#options.serveArgs ?? (await this.#started(this.#engine).attach(node))));
    return node;
  }

  async #faults(): Promise<void> {
    const { seed, seconds, tell } = this.#options;
    const engine = this.#started(this.#engine);
    const only = this.#options.faults;
    const possible = [...nodeFaults, ...engine.faults].filter((fault) => only?.includes(fault) ?? true);
    const planned = planFaults(possible, { seed, seconds, nodes: this.#nodes.length });
    for (const one of planned) tell?.(lineOf(one));
    const startedAt = performance.now();
    await Promise.all([
      wait(seconds * 1000),
      ...planned.map(async (one) => {
        await wait(one.atMs);
        await this.#fault(one);
      }),
    ]);
    tell?.(`${planned.length} faults, over after ${Math.round(performance.now() - startedAt)} ms`);
  }

  async #fault(planned: PlannedFault): Promise<void> {
    const { fault, forMs } = planned;
    const node = this.#nodes[planned.node];
    if (node === undefined) throw new Error(`there is no node ${planned.node}`);
    const named = ofAll.has(fault) ? {} : { node: node.name };
    this.recorder.add({ kind: "fault", fault, phase: "begin", ...named });
    const victims = {
      nodes: this.#nodes,
      random: this.#random,
      slowReaders: (share: number, ms: number) => this.#cast?.slowReaders(share, ms),
      burst: (share: number) => this.#cast?.burst(share),
      revoke: async () => this.#cast?.revoke(),
      engine: (one: PlannedFault): Promise<Undo> => this.#started(this.#engine).begin(one),
    };
    const undo = await doings[fault](victims, planned, node);
    await wait(forMs);
    await undo();
    this.recorder.add({ kind: "fault", fault, phase: "end", ...named });
  }

  /** The last messages are published while nothing comes from the engine: no later one tells of their loss. */
  async #lastWords(cast: Cast): Promise<void> {
    const links = this.#nodes.flatMap(({ engineLinks }) => engineLinks);
    if (links.length > 0) {
      this.recorder.add({ kind: "fault", fault: "engine-lost-down", phase: "begin" });
      for (const link of links) link.hold("down");
      await wait(1_000);
      for (const link of links) link.letGo();
      this.recorder.add({ kind: "fault", fault: "engine-lost-down", phase: "end" });
    }
    await wait(500);
    cast.stopPublishing();
  }

  async #quiet(cast: Cast): Promise<void> {
    const isDrained = await this.#reached(() => cast.waiting === 0, drainWithinMs);
    const who = isDrained ? {} : { who: [`${cast.waiting} publishes`] };
    this.recorder.add({ kind: "mark", mark: "quiet", ...who });
    const isThere = (): boolean => rooms.every((room) => cast.cursors(room).length === 1);
    // All at one place need not be at the head: what the checker says of it follows from the logs.
    if (!(await this.#reached(isThere, headWithinMs))) return;
    await wait(this.#nodes.length > 1 ? headWithinMs : 300);
  }

  async #reached(isReached: () => boolean, withinMs: number): Promise<boolean> {
    const giveUpAt = performance.now() + withinMs;
    while (!isReached()) {
      if (performance.now() > giveUpAt) return false;
      await wait(25);
    }
    return true;
  }

  #sample(): void {
    for (const { name, server } of this.#nodes) {
      if (server.alive) this.recorder.add({ kind: "sample", node: name, rssBytes: server.rssBytes() });
    }
  }

  #world(): World {
    return {
      recorder: this.recorder,
      random: this.#random,
      silenceMs,
      door: (name) => {
        const nodes = this.#nodes;
        const node = nodes.find((one) => one.name === name) ?? nodes[Math.floor(this.#random() * nodes.length)];
        const { link, name: found } = this.#started(node);
        return { name: found, address: link.address };
      },
      refused: (device) => {
        const count = (this.#refusals.get(device) ?? 0) + 1;
        this.#refusals.set(device, count);
        // It tries a few times more than it should: to be refused again is what is to be seen.
        if (count >= 3) device.stop("vanish");
      },
      callId: () => `call-${++this.#calls}`,
    };
  }

  #started<T>(part: T | undefined): T {
    if (part === undefined) throw new Error("the run has not begun");
    return part;
  }
}

function lineOf({ fault, atMs, forMs, node }: PlannedFault): string {
  const at = `${(atMs / 1000).toFixed(1)} s`.padStart(8);
  return `${at}  ${fault.padEnd(18)} node-${node + 1}${forMs > 0 ? `  for ${(forMs / 1000).toFixed(1)} s` : ""}`;
}
