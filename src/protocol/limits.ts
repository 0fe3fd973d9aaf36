/** The protocol's numbers and their defaults. Names end in their unit. */
export const defaults: {
  readonly pingMs: number;
  readonly silenceMs: number;
  readonly authWithinMs: number;
  readonly reauthWithinMs: number;
  readonly dedupeMs: number;
  readonly graceMs: number;
} = {
  /** P-50: the server's ping. */
  pingMs: 25_000,
  /** P-50, P-52: a peer that was silent for this long after a ping was due is dead. */
  silenceMs: 10_000,
  /** P-14: the time for the first `auth`. */
  authWithinMs: 10_000,
  /** P-17: how long before the expiry a new token is asked for. */
  reauthWithinMs: 30_000,
  /** P-31: how long a key makes a publish safe to repeat. */
  dedupeMs: 300_000,
  /** P-41: how long a member whose connection vanished stays one. */
  graceMs: 10_000,
};

/** P-36: the most messages of one page of history. */
export const maxHistoryPage = 100;
/** P-23: how far back `since` reaches without the right `history`. */
export const shortHistoryMs = 300_000;
