import { BackendUnavailable } from "../backend.ts";

/** What may wait on one node, in all; beyond it appends are refused. */
const mostWaiting = 20_000;
const mostWaitingCharacters = 64 * 1_048_576;

/** In its place; `rest` is waited for before it settles, while the next is sent. */
export interface Sent {
  readonly rest: Promise<void>;
}

interface Job {
  readonly size: number;
  readonly send: () => Promise<Sent>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The appends of one node, a lane a room: one under way at a time, and where one fails, all that wait behind it fail with
 * it, so that none stands where an earlier one was lost.
 */
export class Lanes {
  readonly #lanes = new Map<string, Job[]>();
  #waiting = 0;
  #characters = 0;
  readonly #idle: (() => void)[] = [];

  /** Settles when `send` and what it left to do are done, in the order of the calls. */
  add(room: string, size: number, send: () => Promise<Sent>): Promise<void> {
    if (this.#waiting >= mostWaiting || this.#characters + size > mostWaitingCharacters) {
      return Promise.reject(new BackendUnavailable("too much waits to be sent to NATS"));
    }
    return new Promise<void>((resolve, reject) => {
      const job: Job = { size, send, resolve, reject };
      this.#waiting++;
      this.#characters += size;
      const lane = this.#lanes.get(room);
      if (lane !== undefined) lane.push(job);
      else {
        const jobs = [job];
        this.#lanes.set(room, jobs);
        void this.#run(room, jobs);
      }
    });
  }

  /** Resolves when nothing waits. */
  async drained(): Promise<void> {
    if (this.#lanes.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #run(room: string, jobs: Job[]): Promise<void> {
    let settled: Promise<void> = Promise.resolve();
    for (;;) {
      const [job] = jobs;
      if (job === undefined) {
        await settled;
        if (jobs.length > 0) continue;
        break;
      }
      try {
        const { rest } = await job.send();
        rest.catch(() => undefined);
        settled = settled.then(() => rest).then(job.resolve, job.reject);
        this.#remove(jobs, 1);
      } catch (error) {
        // Those before it are told first.
        await settled;
        const failed = jobs.slice();
        this.#remove(jobs, failed.length);
        for (const { reject } of failed) reject(error);
      }
    }
    this.#lanes.delete(room);
    if (this.#lanes.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #remove(jobs: Job[], count: number): void {
    for (const { size } of jobs.splice(0, count)) {
      this.#waiting--;
      this.#characters -= size;
    }
  }
}
