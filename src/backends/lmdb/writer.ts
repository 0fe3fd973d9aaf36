import { BackendUnavailable } from "../backend.ts";
import type { Write } from "./store.ts";

/** Something that is to be committed, or only to be told in its turn (then without writes). */
export interface Task {
  readonly writes: readonly Write[];
  /** Called when it is on disk, in the order of the tasks. Must not throw. */
  done(): void;
  /** Called where it is not. Must not throw. */
  failed(error: BackendUnavailable): void;
}

/** At this many tasks waiting, one more is refused: the disk does not keep up. */
const mostWaiting = 100_000;
/** At this many bytes waiting, likewise. */
const mostWaitingBytes = 64 * 1024 * 1024;
/** What one commit takes at most; the rest goes into the next, so that nobody waits long for others. */
const mostBytesACommit = 8 * 1024 * 1024;
const mostTasksACommit = 8_192;

/**
 * Commits tasks in the order they came, all that wait together in one transaction: while one is on its way to the disk,
 * the next gathers.
 */
export class Writer {
  readonly #commit: (writes: readonly Write[]) => Promise<void>;
  readonly #failed: (error: BackendUnavailable) => void;
  #waiting: Task[] = [];
  #waitingBytes = 0;
  #running: Promise<void> | undefined;

  /** `failed` is called once for a commit that failed, before the tasks are told. */
  constructor(commit: (writes: readonly Write[]) => Promise<void>, failed: (error: BackendUnavailable) => void) {
    this.#commit = commit;
    this.#failed = failed;
  }

  /** Throws BackendUnavailable where too much waits already. Nothing is let in again before that was told. */
  checkRoom(): void {
    if (this.#waiting.length < mostWaiting && this.#waitingBytes < mostWaitingBytes) return;
    throw new BackendUnavailable("the disk does not keep up: too much waits to be written");
  }

  add(task: Task): void {
    this.#waiting.push(task);
    this.#waitingBytes += bytesOf(task);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // What is called in the same turn of the event loop goes into one commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#commitNext();
    this.#running = undefined;
  }

  async #commitNext(): Promise<void> {
    const tasks = this.#takeNext();
    const writes = tasks.flatMap((task) => task.writes);
    try {
      if (writes.length > 0) await this.#commit(writes);
    } catch (cause) {
      this.#fail(tasks, cause);
      return;
    }
    for (const task of tasks) task.done();
  }

  /** Tasks that came later fail too: they were numbered after messages that are not there. */
  #fail(tasks: readonly Task[], cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause);
    const error = new BackendUnavailable(`writing the log failed: ${text}`, { cause });
    const all = [...tasks, ...this.#waiting];
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#failed(error);
    for (const task of all) task.failed(error);
  }

  #takeNext(): Task[] {
    let bytes = 0;
    let count = 0;
    for (const task of this.#waiting) {
      if (count === mostTasksACommit || (count > 0 && bytes + bytesOf(task) > mostBytesACommit)) break;
      bytes += bytesOf(task);
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }
}

function bytesOf(task: Task): number {
  return task.writes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
}
