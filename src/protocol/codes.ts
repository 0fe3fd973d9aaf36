/** What an `error` frame can say (P-60). */
export const errorCodes = [
  "bad_frame",
  "unknown_type",
  "bad_field",
  "too_deep",
  "unauthorized",
  "forbidden",
  "unknown_room",
  "unknown_event",
  "invalid_data",
  "not_joined",
  "too_many_rooms",
  "rate_limited",
  "conflict",
  "unavailable",
  "internal",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** The close codes that a Fanfare server sends (P-61). */
export const closeCodes = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  binary: 1003,
  invalidText: 1007,
  policy: 1008,
  tooBig: 1009,
  internal: 1011,
  restart: 1012,
  tryLater: 1013,
  misused: 4000,
  unauthorized: 4001,
  disconnected: 4003,
  tokenExpired: 4100,
  slowReader: 4200,
  heartbeatLost: 4201,
  tooManyConnections: 4300,
  flooding: 4301,
} as const;

/**
 * What a client does after a close (P-61):
 * - `stop`: nothing, until the app says so
 * - `token`: fetch a token, then reconnect
 * - `resume`: reconnect and resume
 * - `backoff`: reconnect with backoff
 * - `spread`: reconnect, spread out, after `retry_after_ms` where it was told
 * - `wait`: wait 30 s or more, then reconnect
 */
export type CloseAction = "stop" | "token" | "resume" | "backoff" | "spread" | "wait";

const exact: Readonly<Record<number, CloseAction>> = {
  1000: "stop",
  1001: "spread",
  1002: "wait",
  1003: "stop",
  1007: "wait",
  1008: "wait",
  1009: "stop",
  1012: "spread",
};

/** P-61, the table first and then the ranges. */
export function closeAction(code: number): CloseAction {
  const known = exact[code];
  if (known !== undefined) return known;
  if (code >= 1000 && code <= 1999) return "backoff";
  if (code >= 4100 && code <= 4199) return "token";
  if (code >= 4200 && code <= 4299) return "resume";
  if (code >= 4300 && code <= 4399) return "wait";
  return "stop";
}

/** P-41: after these closes a user is gone at once; after any other, when the grace is over. */
export function leavesAtOnce(code: number): boolean {
  return code === 1000 || code === 4001 || code === 4003 || code === 4100;
}
