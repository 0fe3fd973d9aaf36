import type { Random } from "./random.ts";

/** What is said on one TCP connection. */
export interface Case {
  /** Written one after the other, each in a write of its own. */
  readonly chunks: readonly Buffer[];
  /** What the last bytes ask for, so that its answer tells that all was read; absent: silence tells. */
  readonly end?: "pong" | "close";
  /** How many frames or requests it says. */
  readonly inputs: number;
  /** What the peer speaks after an upgrade: the hub's protocol, or an app's own. */
  readonly speaks: "fanfare" | "app";
}

export type MakeCase = (random: Random) => Case;
