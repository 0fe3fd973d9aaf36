import type { Connections } from "./connections.ts";
import type { Limits } from "./options.ts";

/** Who is let in to be authenticated. */
export interface Capacity {
  readonly connections: Connections;
  readonly limits: Limits;
  readonly draining: () => boolean;
}

export type TurnedAway = "draining" | "full" | "address";

/** Why a new connection is turned away (P-15), whoever asks for it: undefined where it is not. */
export function turnedAway({ connections, limits, draining }: Capacity, address: string): TurnedAway | undefined {
  if (draining()) return "draining";
  if (connections.size >= limits.connections) return "full";
  return connections.countOf(address) >= limits.connectionsPerAddress ? "address" : undefined;
}
