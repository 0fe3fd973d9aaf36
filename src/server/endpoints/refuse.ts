/** A refusal that `accept` answers with. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

/**
 * Refuses a connection. 400 to 599 is an HTTP status before the upgrade, which back ends see and browsers do not; 1008,
 * 1011, 1013 or 3000 to 4999 is a close code right after it, which browsers see. The peer is told the reason.
 */
export function refuse(code: number, reason: string): Refusal {
  const isStatus = code >= 400 && code <= 599;
  if (!isStatus && !isCloseCode(code)) {
    throw new RangeError(`refuse: an HTTP status (400 to 599) or a close code is needed, got ${code}`);
  }
  return { code, reason };
}

/** What an app may close with (RFC 6455, section 7.4). */
export function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
}
