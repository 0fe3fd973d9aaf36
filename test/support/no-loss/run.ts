import { setTimeout as wait } from "node:timers/promises";
import { randomFrom } from "../random.ts";
import { startServer, type TestServer } from "../server.ts";
import { makeToken } from "../token.ts";
import { OrderChecker, type Fault } from "./checker.ts";
import { overSocket, overStream } from "./dial.ts";
import { NoLossMember } from "./member.ts";
import { Publisher } from "./publisher.ts";

export interface NoLossOptions {
  seconds: number;
  perS: number;
  members: number;
  /** How often each member is cut off, on average. */
  cutsPerMember: number;
  /** As for `fanfare serve --backend`. */
  backend: string;
  /** How often the server is killed (kill -9) and started again, spread over the run. */
  kills: number;
  /** Members listen over SSE, every other one of them to two more rooms, in place of joining over a WebSocket. */
  sse?: boolean;
  /** The same seed cuts at the same moments. */
  seed: number;
}

export interface NoLossReport {
  published: number;
  repeated: number;
  deliveries: number;
  cuts: number;
  resumes: number;
  kills: number;
  /** Close codes that the server sent, and how often. */
  closes: Record<string, number>;
  faultCount: number;
  faults: (Fault | string)[];
  tookMs: number;
}

/** What every member must have caught up within once all is published. */
const catchUpWithinMs = 20_000;

/** One room, one publisher, members that are cut off at random moments and resume; says what each member's app saw. */
export async function runNoLoss(options: NoLossOptions): Promise<NoLossReport> {
  const total = options.seconds * options.perS;
  const keep = ["--keep-messages", String(total + 1_000)];
  const server = await startServer(["--backend", options.backend, ...keep, "--limit", "requests_per_s=5000"]);
  const run = new Run(server, options, total);
  try {
    return await run.go();
  } finally {
    run.end();
    if (server.alive) await server.kill();
  }
}

class Run {
  readonly #server: TestServer;
  readonly #options: NoLossOptions;
  readonly #total: number;
  readonly #checker: OrderChecker;
  readonly #members: NoLossMember[] = [];
  readonly #timers = new Map<number, NodeJS.Timeout>();
  readonly #random: () => number;
  readonly #faults: string[] = [];
  readonly #closes: Record<string, number> = {};
  #publisher: Publisher | undefined;
  #deliveries = 0;
  #cuts = 0;
  #resumes = 0;
  #kills = 0;
  #isCutting = true;

  constructor(server: TestServer, options: NoLossOptions, total: number) {
    this.#server = server;
    this.#options = options;
    this.#total = total;
    this.#checker = new OrderChecker(options.members);
    this.#random = randomFrom(options.seed);
  }

  async go(): Promise<NoLossReport> {
    const startedAt = performance.now();
    for (let i = 0; i < this.#options.members; i++) this.#members.push(this.#member(i));
    await Promise.all(this.#members.map((member) => member.joined));
    const publisher = new Publisher(this.#server, makeToken({ sub: "publisher", rooms: ["**"] }), "room", {
      total: this.#total,
      perS: this.#options.perS,
    });
    this.#publisher = publisher;
    for (const at of this.#members.keys()) this.#cutLater(at, true);
    await Promise.all([publisher.done, this.#killing()]);
    this.#isCutting = false;
    await this.#caughtUp();
    this.#checker.finish(this.#total);
    return this.#report(publisher, performance.now() - startedAt);
  }

  end(): void {
    this.#isCutting = false;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const member of this.#members) member.stop();
    this.#publisher?.stop();
  }

  #member(at: number): NoLossMember {
    const target = { server: this.#server, token: makeToken({ sub: `member-${at}`, rooms: ["**"] }), room: "room" };
    const others = at % 2 === 0 ? [] : ["quiet", "silent"];
    const dial = this.#options.sse === true ? overStream(target, others) : overSocket(target);
    return new NoLossMember("room", dial, {
      message: (offset, content) => {
        this.#deliveries++;
        this.#checker.take(at, offset, content);
      },
      resumed: () => {
        this.#resumes++;
        this.#cutLater(at, false);
      },
      fault: (text) => this.#faults.push(`member ${at}: ${text}`),
      closed: (code) => (this.#closes[String(code)] = (this.#closes[String(code)] ?? 0) + 1),
    });
  }

  /** A quarter of the cuts come right after a resume, into the middle of its replay. */
  #cutLater(at: number, isFirst: boolean): void {
    if (!this.#isCutting) return;
    const meanMs = (this.#options.seconds * 1000) / this.#options.cutsPerMember;
    const isHasty = !isFirst && this.#random() < 0.25;
    const delayMs = isHasty ? this.#random() * 30 : this.#random() * 2 * meanMs;
    clearTimeout(this.#timers.get(at));
    this.#timers.set(
      at,
      setTimeout(() => this.#cut(at), delayMs),
    );
  }

  #cut(at: number): void {
    if (!this.#isCutting) return;
    this.#cuts++;
    this.#members[at]?.cut(this.#random() < 0.5);
  }

  async #killing(): Promise<void> {
    const { kills, seconds } = this.#options;
    for (let i = 0; i < kills; i++) {
      await wait((seconds * 1000) / (kills + 1));
      await this.#server.kill();
      this.#kills++;
      await this.#server.start();
    }
  }

  async #caughtUp(): Promise<void> {
    const giveUpAt = performance.now() + catchUpWithinMs;
    while (performance.now() < giveUpAt) {
      if (this.#members.every((_, at) => this.#checker.seen(at) >= this.#total)) return;
      await wait(20);
    }
  }

  #report(publisher: Publisher, tookMs: number): NoLossReport {
    return {
      published: publisher.acked,
      repeated: publisher.repeated,
      deliveries: this.#deliveries,
      cuts: this.#cuts,
      resumes: this.#resumes,
      kills: this.#kills,
      closes: this.#closes,
      faultCount: this.#checker.faultCount + this.#faults.length + publisher.faults.length,
      faults: [...this.#checker.faults, ...this.#faults, ...publisher.faults].slice(0, 50),
      tookMs: Math.round(tookMs),
    };
  }
}
