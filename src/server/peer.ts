import type { Outbox } from "./outbox.ts";

/** A connection as rooms see it. */
export interface Peer {
  readonly id: string;
  readonly user: string;
  readonly outbox: Outbox;
  /** Sends one frame, after all that was sent before. */
  send(text: string): void;
  /** Ends the connection with a code of P-61. */
  close(code: number, reason: string): void;
}
