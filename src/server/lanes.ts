/** One request in a lane. */
export interface Task {
  /** The next task may run before this one is answered: a publish whose place in the log is settled. */
  readonly pipelined: boolean;
  /** Takes effect. Resolves to the answer, which is called when all before it are answered. Must not reject. */
  run(): Promise<Answer>;
  /** A publish before this one has an unknown outcome (P-33): this one must not overtake it. */
  failed: boolean;
}

/** Sends the answer; resolves when it is sent. Must not reject. */
export type Answer = () => void | Promise<void>;

interface Lane {
  readonly queue: Task[];
  current: Task | undefined;
  answered: Promise<void>;
}

/**
 * The order of one connection's requests (P-6): those that name the same room take effect and are answered in the order
 * they came; those of different rooms do not wait for each other. A lane exists while it has requests.
 */
export class Lanes {
  /** Made when first needed and dropped when empty: most connections are idle most of the time. */
  #lanes: Map<string, Lane> | undefined;
  #pending = 0;

  /** Requests that are not answered yet. */
  get pending(): number {
    return this.#pending;
  }

  has(room: string): boolean {
    return this.#lanes?.has(room) ?? false;
  }

  add(room: string, task: Task): void {
    this.#pending++;
    const lane = this.#lanes?.get(room);
    if (lane !== undefined) {
      lane.queue.push(task);
      return;
    }
    const fresh: Lane = { queue: [task], current: undefined, answered: Promise.resolve() };
    (this.#lanes ??= new Map()).set(room, fresh);
    void this.#run(room, fresh);
  }

  /** P-33: the publishes that wait in this room fail with the one whose outcome is unknown. */
  failWaiting(room: string): void {
    const lane = this.#lanes?.get(room);
    if (lane === undefined) return;
    if (lane.current !== undefined) lane.current.failed = true;
    for (const task of lane.queue) task.failed = true;
  }

  async #run(room: string, lane: Lane): Promise<void> {
    do {
      for (let task = lane.queue.shift(); task !== undefined; task = lane.queue.shift()) {
        if (!task.pipelined) await lane.answered;
        lane.current = task;
        const answer = await task.run();
        lane.current = undefined;
        lane.answered = this.#answerAfter(lane.answered, answer);
      }
      await lane.answered;
    } while (lane.queue.length > 0);
    this.#lanes?.delete(room);
    if (this.#lanes?.size === 0) this.#lanes = undefined;
  }

  async #answerAfter(before: Promise<void>, answer: Answer): Promise<void> {
    await before;
    await answer();
    this.#pending--;
  }
}
