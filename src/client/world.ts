import type { Emitter } from "./emitter.ts";
import type { ClientLimits, ClientTiming, Platform } from "./platform.ts";
import type { ClientEvents } from "./types.ts";

/** What the parts of one client share. */
export interface World extends Platform {
  readonly timing: ClientTiming;
  readonly limits: ClientLimits;
  readonly emitter: Emitter<ClientEvents>;
  /** There may be something to do: the client looks soon, once for many of these. */
  changed(): void;
  listenerFailed(cause: unknown): void;
}
