import { BackendUnavailable } from "../../backends/backend.ts";
import { closeCodes, type ErrorCode } from "../../protocol/codes.ts";
import { Refused } from "../refused.ts";
import { Timings } from "./timings.ts";

/** What became of a publish: in the log, known by its key, passed on without a log, or refused with a code. */
export type PublishOutcome = "kept" | "duplicate" | "passed_on" | ErrorCode;

/**
 * What refused a request for its rate: the connection's own (P-63), or its requests that wait; a rate that is shared by
 * user, address (its requests, or its connects) or room; or that a publish before it was refused by one of these.
 */
export type RateLimited = "connection" | "pending" | "user" | "address" | "connect" | "room" | "held";

/** As much of a publisher's answer as tells its outcome. */
interface Published {
  readonly duplicate?: true;
  readonly offset?: number;
}

/** What a room's broadcasts of one kind handed to outboxes. */
export class Delivered {
  frames = 0;
  /** Frames times their bytes, as made for a WebSocket. */
  bytes = 0;
  /** Left out because the reader was congested (P-34). */
  dropped = 0;
}

/** `dropped`: told by `gap`. `replaced`: a newer message of the event came. */
export interface SlowCounts {
  readonly readers: { drop: number; latest: number };
  dropped: number;
  replaced: number;
}

/**
 * What a hub has done since it was made. Plain numbers, so that the paths that count pay for an addition; whoever
 * reads metrics does the rest. Nothing here grows with what users send: every key is one of ours.
 */
export class Counts {
  joins = 0;
  recovered = 0;
  notRecovered = 0;
  replayed = 0;
  signals = 0;
  handlerErrors = 0;
  handlerTimeouts = 0;
  /** What came over the engine and no node can have sent. */
  malformed = 0;
  readonly messages: Delivered = new Delivered();
  readonly signalFrames: Delivered = new Delivered();
  readonly presence: Delivered = new Delivered();
  /** What policies for slow readers did: readers passed by, and messages left out for them. */
  readonly slow: SlowCounts = { readers: { drop: 0, latest: 0 }, dropped: 0, replaced: 0 };
  readonly publishes: Map<PublishOutcome, number> = new Map();
  readonly closes: Map<string, number> = new Map();
  readonly refusedUpgrades: Map<number, number> = new Map();
  readonly rateLimits: Map<RateLimited, number> = new Map();
  readonly authentications: Map<"accepted" | "refused" | "failed", number> = new Map();
  readonly appends: Timings = new Timings();

  joined(recovered: boolean | undefined): void {
    this.joins++;
    if (recovered === true) this.recovered++;
    else if (recovered === false) this.notRecovered++;
  }

  /** A client may close with any of thousands of codes; those that the protocol does not know are counted together. */
  closed(code: number): void {
    add(this.closes, knownCodes.has(code) ? String(code) : "other");
  }

  refusedUpgrade(status: number): void {
    add(this.refusedUpgrades, status);
  }

  rateLimited(by: RateLimited): void {
    add(this.rateLimits, by);
  }

  authenticated(outcome: "accepted" | "refused" | "failed"): void {
    add(this.authentications, outcome);
  }

  /** Counts a publish when its outcome is known, and gives it back as it is: nobody waits for the count. */
  published<S extends { readonly outcome: Promise<Published> }>(submitted: Promise<S>): Promise<S> {
    const failed = (error: unknown): void => add(this.publishes, codeOf(error));
    const settled = (published: Published): void => add(this.publishes, outcomeOf(published));
    submitted.then(({ outcome }) => void outcome.then(settled, failed), failed);
    return submitted;
  }
}

/** Those of P-61, and what a socket reports that was closed without a code (1005) or a word (1006). */
const knownCodes: ReadonlySet<number> = new Set([...Object.values(closeCodes), 1005, 1006]);

function add<K>(tally: Map<K, number>, key: K): void {
  tally.set(key, (tally.get(key) ?? 0) + 1);
}

function outcomeOf({ duplicate, offset }: Published): PublishOutcome {
  if (duplicate === true) return "duplicate";
  return offset === undefined ? "passed_on" : "kept";
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof Refused) return error.code;
  return error instanceof BackendUnavailable ? "unavailable" : "internal";
}
