import type { Recorder } from "../records.ts";
import type { TortureNode } from "../node.ts";
import type { FaultName, PlannedFault } from "../faults/schedule.ts";

/** A room's log as an engine itself gives it. */
export interface EngineLog {
  readonly epoch: string;
  readonly head: number;
  readonly entries: readonly { readonly offset: number; readonly prev?: number; readonly body: string }[];
}

/** What keeps the messages of a run, and how to break it. */
export interface Engine {
  /** The flags by which a node uses it; gives the node ways of its own to the engine. */
  attach(node: TortureNode): Promise<readonly string[]>;
  readonly faults: readonly FaultName[];
  /** Faults that a log need not outlive. */
  readonly losing: readonly FaultName[];
  /** Does a fault of `engine-…` that needs the engine itself, and gives what mends it. */
  begin(planned: PlannedFault): Promise<() => Promise<void>>;
  /** A room's log, read past all nodes; undefined where that cannot be done. */
  log?(room: string): Promise<EngineLog | undefined>;
  /** What is left of these rooms, and in all, when everyone has gone, by name: all of it is to be 0. */
  left?(rooms: readonly string[]): Promise<Readonly<Record<string, number>>>;
  end(): Promise<void>;
}

export interface EngineContext {
  /** For its files; removed when the run is over. */
  readonly folder: string;
  readonly recorder: Recorder;
  readonly seed: number;
}
