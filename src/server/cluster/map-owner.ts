import type { Json } from "../../protocol/json.ts";
import type { Clock } from "../clock.ts";
import type { Change, MapMessage } from "./messages.ts";

/** Whose map it is: the truth about this node, and what is made of what other nodes say. */
export interface MapOwner {
  /** An entry as it stands. What a node had that said goodbye stays for a while (P-53); absent: it goes with the node. */
  readonly standing?: (key: string) => Json | undefined;
  /** All that this node has in it. */
  entries(): Iterable<readonly [key: string, value: Json]>;
  /** Another node has the entry, `isNew` where it had none; or has it no more. */
  set(key: string, value: Json, isNew: boolean, node: string): void;
  removed(key: string, node: string): void;
  /** A key is gone for good from a node: whatever only waits for it here ends. */
  endedForGood(key: string): void;
  /** All that `apply` does belongs together; `repaired`: it may have come late. */
  together(repaired: boolean, apply: () => void): void;
}

/** The way to the other nodes that have the map. */
export interface MapLines {
  readonly node: string;
  /** To all that have it. Rejects where it could not be sent on. */
  readonly toAll: (message: MapMessage) => Promise<void>;
  readonly toNode: (node: string, message: MapMessage) => void;
  /** Whether the node is known to live. */
  readonly lives: (node: string) => boolean;
  /** How long what a node left that has gone away still counts. */
  readonly holdMs: (node: string) => number;
  /** Another node says so. Whether it counts here. */
  readonly inherited: (node: string, holdMs: number) => boolean;
  /** What nodes that went away left in the map while no other node had it. Gives it once. */
  readonly left: () => readonly (readonly [node: string, changes: readonly Change[]])[];
  /** Higher at each call. */
  readonly nextLife: () => number;
  /** Has `settle` called soon, and again with each tick until that says that there is nothing left to do. */
  readonly unsettled: () => void;
  readonly clock: Pick<Clock, "monotonic" | "setTimeout" | "clearTimeout">;
  /** Runs at the end of the turn, so that changes which come together go together. */
  readonly later: (run: () => void) => void;
  /** A state was read of another node. */
  readonly synced: () => void;
}
