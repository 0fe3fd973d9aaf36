/** A refusal that `accept` answers with. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

/**
 * Refuses a connection. 400 to 599 is an HTTP status before the upgrade, which back ends see and browsers do not; 1008,
 * 1011, 1013 or 3000 to 4999 is a close code right after it, which browsers see. The peer is told the reason. Throws a
 * RangeError on another code, or a close's reason of more than 123 bytes.
 */
export function refuse(code: number, reason: string): Refusal {
  return checkRefusal({ code, reason });
}

/** What an app answers may be anything; what could not be written to a socket must not get there. Throws as `refuse`. */
export function checkRefusal({ code, reason }: Refusal): Refusal {
  const isStatus = Number.isInteger(code) && code >= 400 && code <= 599;
  if (!isStatus && !isCloseCode(code)) {
    throw new RangeError(`refuse: an HTTP status (400 to 599) or a close code is needed, got ${code}`);
  }
  if (typeof reason !== "string") throw new TypeError(`refuse: a reason is needed, got ${typeof reason}`);
  if (!isStatus) checkReason(reason);
  return { code, reason };
}

/** How much of a close's reason fits its frame (RFC 6455, section 5.5.1). */
const maxReasonBytes = 123;

export function checkReason(reason: string): void {
  if (Buffer.byteLength(reason) > maxReasonBytes) {
    throw new RangeError(`a close's reason has at most ${maxReasonBytes} bytes`);
  }
}

/** What an app may close with (RFC 6455, section 7.4). */
export function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
}
