import type { Answered, Asked, Begun, Called, Ended, Got, Kept, Opened, Rec, Sent, Told } from "../records.ts";
import type { Cursor } from "./cursor.ts";
import type { FaultTime } from "./faults.ts";

/** One connection, and what was said on it. */
export interface Connection {
  readonly opened: Opened;
  ended: Ended | undefined;
  readonly streams: Stream[];
}

/** What a connection got of a room from one `joined` to the next, to `left` or to its end (P-32). */
export interface Stream {
  readonly connection: Connection;
  readonly room: string;
  readonly join: Sent | undefined;
  readonly joined: Got;
  readonly start: Cursor;
  readonly steps: Step[];
  /** `presence` frames, in order. */
  readonly presence: Got[];
  /** When it ended; Infinity where it did not. */
  endAt: number;
}

/** A `message`, `skip` or `gap`: the position before and after it. */
export interface Step {
  readonly record: Got;
  readonly type: "message" | "skip" | "gap";
  readonly from: Cursor;
  readonly to: Cursor;
  readonly prev: number | undefined;
  readonly id: string | undefined;
  readonly reason: string | undefined;
}

/** Somebody saw that a message has this name. */
export interface Sight {
  readonly record: Rec;
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
  readonly prev: number | undefined;
  readonly id: string;
}

/** One sending of a message, over a socket or HTTP; or all that a client of ours did to publish it. */
export interface Attempt {
  readonly asked: Sent | Called | Asked;
  readonly connection: Connection | undefined;
  answer: Got | Answered | Told | undefined;
  outcome: Outcome;
}

/** Open: no answer, or `unavailable` (P-33). */
export type Outcome =
  | { readonly kind: "open" }
  | { readonly kind: "acked"; readonly epoch: string; readonly offset: number; readonly isDuplicate: boolean }
  | { readonly kind: "refused"; readonly code: string };

export interface Publish {
  readonly id: string;
  readonly room: string;
  readonly publisher: string;
  readonly attempts: Attempt[];
}

/** The records, put in relation. */
export interface Story {
  readonly records: readonly Rec[];
  readonly begun: Begun;
  readonly connections: ReadonlyMap<string, Connection>;
  readonly streams: readonly Stream[];
  readonly sights: readonly Sight[];
  readonly publishes: ReadonlyMap<string, Publish>;
  readonly calls: readonly { readonly called: Called; readonly answered: Answered | undefined }[];
  readonly kept: readonly Kept[];
  readonly faults: readonly FaultTime[];
}
