import type { ExpelReason } from "./joins.ts";
import type { Requester } from "./requester.ts";
import type { Room } from "./room.ts";

/** Whoever is connected to this node, over a socket or a stream (P-70), as its registry, the app and the drain see it. */
export interface Connected extends Requester {
  readonly address: string;
  /** Monotonic, in milliseconds. */
  readonly openedAt: number;
  /** Whether `welcome` was sent; nothing comes before it (P-12). */
  readonly isWelcome: boolean;
  /** Requests that are not answered yet. */
  readonly pending: number;
  /** Whether the socket under it has closed. */
  readonly isGone: boolean;
  /** P-53: what `drain` told; the grace of its user's presence begins when it is over. */
  retryAfterMs: number;
  /** Ends a membership from the server's side; `left` is the room's last frame. */
  expel(room: Room, reason: ExpelReason): void;
  /** Takes no more requests; those that were read are still answered (P-53). */
  stopReading(): void;
  /** Cuts the socket, whatever still waits. */
  terminate(): void;
}
