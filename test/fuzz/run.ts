import { setTimeout as wait } from "node:timers/promises";
import { attack } from "./attack.ts";
import type { Case } from "./case.ts";
import type { Fault } from "./fault.ts";
import { type Baseline, checkLeftovers, Stalled } from "./leftovers.ts";
import { Neighbour } from "./neighbour.ts";
import { caseSeed, Random } from "./random.ts";
import { shrink } from "./shrink.ts";
import { type Target, targets } from "./targets/index.ts";
import { plainConfig, Victim, type VictimOptions } from "./victim.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Goes on beyond `seconds` until so many cases were tried. Default 0. */
  readonly leastCases?: number;
  readonly targets: readonly Target[];
  readonly backend?: VictimOptions["backend"];
  /** The server's config module; absent: the one that has no faults. */
  readonly config?: string;
  /** Only this case, by its own seed. */
  readonly only?: number;
  /** How long a neighbour may wait for a message. Default 1,000. */
  readonly patienceMs?: number;
  /** Connections at once. Default 64. */
  readonly lanes?: number;
  /** How often a case that was found is cut, to see whether less shows it. Default 150; 0: nor is the case looked for. */
  readonly tries?: number;
  readonly tell?: (line: string) => void;
}

export interface Finding {
  readonly fault: Fault;
  /** Absent: no single case shows it again. */
  readonly culprit: { readonly target: Target; readonly seed: number; readonly shortest: Case } | undefined;
  /** The cases before it, the last one last. */
  readonly recent: readonly Known[];
}

export interface Report {
  readonly cases: number;
  readonly inputs: number;
  readonly seconds: number;
  readonly perTarget: ReadonlyMap<Target, number>;
  /** How often each status, close code, frame and error came. */
  readonly seen: ReadonlyMap<string, number>;
  readonly heard: number;
  readonly worstMs: number;
  readonly rssMb: number;
  readonly logLines: number;
  readonly finding: Finding | undefined;
}

interface Known {
  readonly target: Target;
  readonly seed: number;
}

const roundMs = 2_000;
const endsWithinMs = 300;
/** As many of the latest cases are tried one by one where a fault says nothing of its cause. */
const maxRecent = 300;

/** A server under attack, with its neighbour. */
class Stage {
  readonly victim: Victim;
  readonly neighbour: Neighbour;
  readonly #base: Baseline;
  readonly #patienceMs: number;

  private constructor(victim: Victim, neighbour: Neighbour, patienceMs: number) {
    this.victim = victim;
    this.neighbour = neighbour;
    this.#patienceMs = patienceMs;
    this.#base = { sockets: victim.sockets() };
  }

  static async set(options: FuzzOptions): Promise<Stage> {
    const { backend = "memory", config = plainConfig, patienceMs = 1_000 } = options;
    const victim = await Victim.start({ backend, config });
    return new Stage(victim, await Neighbour.of(victim.port, patienceMs), patienceMs);
  }

  get fault(): Fault | undefined {
    return this.victim.fault ?? this.neighbour.fault;
  }

  /** As `fault`; the neighbour sees a process end before it is known to have ended. */
  async cause(): Promise<Fault | undefined> {
    if (this.victim.fault === undefined && this.neighbour.fault !== undefined) await wait(endsWithinMs);
    return this.fault;
  }

  /** With nobody attacking. */
  async check(): Promise<Fault | undefined> {
    try {
      return (await checkLeftovers(this.victim, this.#base, this.#patienceMs)) ?? (await this.cause());
    } catch (error) {
      if (error instanceof Stalled) return { kind: "neighbour", what: error.message };
      // The process may be about to end, or to say why it cannot answer.
      await wait(endsWithinMs);
      return this.fault ?? { kind: "http", what: `/metrics does not answer: ${String(error)}` };
    }
  }

  async strike(): Promise<void> {
    this.neighbour.end();
    await this.victim.end();
  }
}

export function makeCase({ target, seed }: Known): Case {
  return targets[target](new Random(seed));
}

/** Attacks a server until the time is over or something must not be. */
export async function fuzz(options: FuzzOptions): Promise<Report> {
  const run = new Run(options, await Stage.set(options));
  try {
    await run.attack();
    return await run.report();
  } finally {
    await run.end();
  }
}

class Run {
  readonly #options: FuzzOptions;
  #stage: Stage;
  readonly #startedAt: number = performance.now();
  readonly #seen: Map<string, number> = new Map();
  readonly #perTarget: Map<Target, number> = new Map();
  #recent: Known[] = [];
  #count = 0;
  #inputs = 0;
  /** Another case must not be tried on this server. */
  #isHarmed = true;
  #found: { fault: Fault; by: Known | undefined } | undefined;

  constructor(options: FuzzOptions, stage: Stage) {
    this.#options = options;
    this.#stage = stage;
  }

  async attack(): Promise<void> {
    const { seconds, leastCases = 0, only, lanes = 64 } = this.#options;
    const endsAt = this.#startedAt + seconds * 1_000;
    const isOver = (): boolean => performance.now() >= endsAt && this.#count >= leastCases;
    do {
      const now = performance.now();
      const roundEndsAt = now < endsAt ? Math.min(endsAt, now + roundMs) : now + roundMs;
      if (only === undefined) {
        await Promise.all(Array.from({ length: lanes }, () => this.#lane(roundEndsAt)));
      } else {
        for (const target of this.#options.targets) await this.#say({ target, seed: only });
      }
      const fault = await this.#stage.check();
      if (fault !== undefined) this.#found ??= { fault, by: undefined };
      this.#progress();
    } while (this.#found === undefined && only === undefined && !isOver());
  }

  async #lane(endsAt: number): Promise<void> {
    while (this.#found === undefined && performance.now() < endsAt) {
      const index = this.#count++;
      const target = this.#options.targets[index % this.#options.targets.length]!;
      await this.#say({ target, seed: caseSeed(this.#options.seed, target, index) });
    }
  }

  async #say(known: Known): Promise<void> {
    const said = makeCase(known);
    this.#inputs += said.inputs;
    this.#perTarget.set(known.target, (this.#perTarget.get(known.target) ?? 0) + 1);
    this.#recent.push(known);
    if (this.#recent.length > 2 * maxRecent) this.#recent = this.#recent.slice(-maxRecent);
    const see = (what: string): void => void this.#seen.set(what, (this.#seen.get(what) ?? 0) + 1);
    const fault = await attack(this.#stage.victim.port, said, known.seed, see);
    if (fault !== undefined) this.#found ??= { fault, by: known };
    const general = await this.#stage.cause();
    if (general !== undefined) this.#found ??= { fault: general, by: undefined };
  }

  #progress(): void {
    const seconds = Math.round((performance.now() - this.#startedAt) / 1_000);
    const { victim, neighbour } = this.#stage;
    if (victim.fault !== undefined) return;
    const mb = Math.round(victim.rssBytes() / 1_048_576);
    this.#options.tell?.(
      `${seconds} s: ${this.#inputs} inputs in ${this.#recentCount} cases; ${mb} MB, neighbour ${Math.round(neighbour.worstMs)} ms at worst`,
    );
  }

  get #recentCount(): number {
    return [...this.#perTarget.values()].reduce((sum, count) => sum + count, 0);
  }

  async report(): Promise<Report> {
    const { victim, neighbour } = this.#stage;
    const numbers = {
      cases: this.#recentCount,
      inputs: this.#inputs,
      seconds: (performance.now() - this.#startedAt) / 1_000,
      perTarget: this.#perTarget,
      seen: this.#seen,
      heard: neighbour.heard,
      worstMs: neighbour.worstMs,
      rssMb: victim.fault?.kind === "process" ? 0 : Math.round(victim.rssBytes() / 1_048_576),
      logLines: victim.lines,
    };
    return { ...numbers, finding: this.#found && (await this.#explain(this.#found)) };
  }

  /** Which case it was, and how little of it is enough. */
  async #explain({ fault, by }: { fault: Fault; by: Known | undefined }): Promise<Finding> {
    const recent = this.#recent.slice(-maxRecent);
    this.#options.tell?.(`found: ${fault.kind}: ${fault.what}`);
    if (this.#options.tries === 0) return { fault, culprit: undefined, recent };
    const suspects = by === undefined ? recent.toReversed() : [by];
    this.#options.tell?.(`trying ${suspects.length} of the latest cases one by one`);
    for (const suspect of suspects) {
      const said = makeCase(suspect);
      if (!(await this.#shows(said, fault.kind))) continue;
      this.#options.tell?.(`it is --target ${suspect.target} --case ${suspect.seed}; looking for less that shows it`);
      const shortest = await shrink(said, (shorter) => this.#shows(shorter, fault.kind), this.#options.tries ?? 150);
      return { fault, culprit: { ...suspect, shortest }, recent };
    }
    return { fault, culprit: undefined, recent };
  }

  /** On a server of its own where the one before was harmed. */
  async #shows(said: Case, kind: Fault["kind"]): Promise<boolean> {
    if (this.#stage.fault !== undefined || this.#isHarmed) {
      await this.#stage.strike();
      this.#stage = await Stage.set(this.#options);
      this.#isHarmed = false;
    }
    const { port } = this.#stage.victim;
    const fault = (await attack(port, said, 0, () => undefined)) ?? (await this.#stage.check());
    this.#isHarmed = fault !== undefined && fault.kind !== "status" && fault.kind !== "body" && fault.kind !== "frame";
    return fault?.kind === kind;
  }

  async end(): Promise<void> {
    await this.#stage.strike();
  }
}
