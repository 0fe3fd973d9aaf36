import type { describe, expect, it } from "vitest";
import type { Backend, BackendPromises, RoomRef } from "../../backends/backend.ts";
import { recorder, TestClock, type Recorder } from "./tools.ts";

/** The parts of vitest that the suite uses; handed in, so that this package needs no test runner of its own. */
export interface SuiteTools {
  readonly describe: typeof describe;
  readonly it: typeof it;
  readonly expect: typeof expect;
}

/** One backend to test, not opened yet. The suite opens and closes it. */
export interface SuiteSubject {
  readonly backend: Backend;
  /** A new one, not opened yet, on the same storage. Called after the earlier one was closed. Absent: nothing survives. */
  readonly reopen?: () => Promise<Backend>;
  /**
   * Another node: not opened yet, on the engine that `backend` uses now. For backends that are shared; the suite opens and
   * closes it.
   */
  readonly second?: () => Promise<Backend>;
  /** Removes what is left, after everything was closed. */
  destroy(): Promise<void>;
}

/** What one test works with: an opened backend on a clock that the test turns. */
export interface Bench {
  readonly clock: TestClock;
  readonly backend: Backend;
  /** Closes the backend and opens it again; undefined where nothing survives that. */
  readonly reopen: (() => Promise<Backend>) | undefined;
  readonly listen: (room: RoomRef) => Promise<Recorder>;
  /** Another node, opened; undefined where only one process can use the storage. */
  readonly second: Backend | undefined;
}

/** The part of vitest's test context that is used. */
export interface TestContext {
  skip(note?: string): void;
}

/** What a test is about; where the backend declares that it does not have it, the test is skipped, and says so. */
export type Need = "log" | "survival" | "nodes";

/** Makes a test's body of one that wants a bench. Most are about the log. */
export type Run = (
  body: (bench: Bench) => Promise<void>,
  needs?: readonly Need[],
) => (context: TestContext) => Promise<void>;

const declared: Readonly<Record<Need, { isMissing: (promises: BackendPromises) => boolean; words: string }>> = {
  log: { isMissing: ({ log }) => !log, words: "it keeps no log" },
  survival: { isMissing: ({ survives }) => survives === "nothing", words: "what it holds outlives nothing" },
  nodes: { isMissing: ({ shared }) => !shared, words: "it is of one process" },
};

export function runWith(make: () => Promise<SuiteSubject>): Run {
  return (body, needs = ["log"]) =>
    async (test) => {
      const subject = await make();
      const { name, promises } = subject.backend;
      const missing = needs.find((need) => declared[need].isMissing(promises));
      if (missing !== undefined) {
        await subject.destroy();
        test.skip(`${name} declares that ${declared[missing].words}`);
        return;
      }
      const clock = new TestClock();
      const context = { now: () => clock.now, log: () => undefined };
      let backend = subject.backend;
      const { reopen } = subject;
      let second: Backend | undefined;
      const reopened = async (again: () => Promise<Backend>): Promise<Backend> => {
        await backend.close();
        backend = await again();
        await backend.open(context);
        return backend;
      };
      try {
        await backend.open(context);
        second = await subject.second?.();
        await second?.open(context);
        await body({
          clock,
          backend,
          reopen: reopen && (() => reopened(reopen)),
          listen: (room) => recorder(backend, room),
          second,
        });
      } finally {
        await second?.close();
        await backend.close();
        await subject.destroy();
      }
    };
}
