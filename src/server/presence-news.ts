import type { Member, PresenceFrame } from "../protocol/frames.ts";
import type { Clock } from "./clock.ts";

/** P-43: a room that went over the bound lists its members again when it is under this share of it. */
const listAgainShare = 0.75;
/** P-43: counts are sent at most so often. */
const countEveryMs = 1_000;

export type PresenceChange = Pick<PresenceFrame, "joined" | "left" | "updated">;

export interface NewsSource {
  readonly room: string;
  /** P-43: with more members than this only their number is told. */
  readonly bound: number;
  readonly clock: Clock;
  readonly size: () => number;
  readonly members: () => Member[];
  readonly changed: (frame: PresenceFrame) => void;
}

/** Puts what changed in a room into frames: lists, or above the bound the number alone (P-43). */
export class PresenceNews {
  readonly #source: NewsSource;
  #countsOnly = false;
  #countTimer: unknown;

  constructor(source: NewsSource) {
    this.#source = source;
  }

  get countsOnly(): boolean {
    return this.#countsOnly;
  }

  tell(change: PresenceChange): void {
    if (this.#turnsToAll()) return;
    if (!this.#countsOnly) this.#send(change);
    else this.#countTimer ??= this.#source.clock.setTimeout(this.#tellCount, countEveryMs);
  }

  /** P-42: the whole list in place of what it was. */
  tellAll(): void {
    if (this.#turnsToAll()) return;
    if (!this.#countsOnly) this.#send({ all: this.#source.members() });
    else this.#countTimer ??= this.#source.clock.setTimeout(this.#tellCount, countEveryMs);
  }

  close(): void {
    this.#source.clock.clearTimeout(this.#countTimer);
    this.#countTimer = undefined;
  }

  /** Whether the room came back under the bound, and its whole list was told. */
  #turnsToAll(): boolean {
    const { bound, size } = this.#source;
    if (!this.#countsOnly && size() > bound) this.#countsOnly = true;
    else if (this.#countsOnly && size() < bound * listAgainShare) {
      this.#countsOnly = false;
      this.close();
      this.#send({ all: this.#source.members() });
      return true;
    }
    return false;
  }

  readonly #tellCount = (): void => {
    this.#countTimer = undefined;
    this.#send({});
  };

  #send(change: Partial<PresenceFrame>): void {
    const { room, size, changed } = this.#source;
    changed({ type: "presence", room, ...change, members: size() });
  }
}
