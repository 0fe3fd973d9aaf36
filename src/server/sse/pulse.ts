import { closeCodes } from "../../protocol/codes.ts";
import type { Clock } from "../clock.ts";
import type { Stream } from "./stream.ts";

/** P-72. */
const commentEveryMs = 15_000;
const sweepMs = 250;

/**
 * What time does to streams: a comment every 15 s, which keeps proxies from cutting them and finds readers that are gone,
 * and the end of their token. One timer looks at all of them, and runs while there are any.
 */
export class Pulse {
  readonly #clock: Clock;
  readonly #streams: ReadonlySet<Stream>;
  readonly #overdue: (stream: Stream) => void;
  #timer: unknown;

  /** `overdue`: the check of a stream's credentials has taken too long. */
  constructor(clock: Clock, streams: ReadonlySet<Stream>, overdue: (stream: Stream) => void) {
    this.#overdue = overdue;
    this.#clock = clock;
    this.#streams = streams;
  }

  /** Called for every new stream; starts the timer where it stood still. */
  wake(): void {
    this.#timer ??= this.#clock.setTimeout(this.#sweep, sweepMs);
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    const monotonic = this.#clock.monotonic();
    for (const stream of this.#streams) this.#look(stream, now, monotonic);
    if (this.#streams.size > 0) this.wake();
  };

  #look(stream: Stream, now: number, monotonic: number): void {
    const { identity, isWelcome, checkBy, commentedAt } = stream;
    if (checkBy !== undefined && monotonic >= checkBy) this.#overdue(stream);
    if (!isWelcome) return;
    // A stream says nothing, so it has no way to bring a new token: it ends, and its client opens another.
    if (identity.expiresAt !== undefined && now >= identity.expiresAt) {
      stream.close(closeCodes.tokenExpired, "token expired");
    } else if (monotonic - commentedAt >= commentEveryMs) {
      stream.comment();
    }
  }
}
