import type { WelcomeLimits } from "../protocol/frames.ts";
import type { Identity } from "./auth/identity.ts";
import type { Clock } from "./clock.ts";
import type { Limits } from "./options.ts";

/** Writes `welcome` (P-12): put together by hand, because most of it is the same for all and every connect pays for the rest. */
export class Welcome {
  readonly #now: Clock["now"];
  readonly #tail: string;

  constructor(limits: Limits, now: Clock["now"]) {
    this.#now = now;
    this.#tail = `"ping_ms":${limits.pingMs},"limits":${JSON.stringify(welcomeLimits(limits))}`;
  }

  /** `connection` is an id of ours, which needs no escape. */
  text(connection: string, { user, expiresAt }: Identity): string {
    const expiry = expiresAt === undefined ? "" : `,"expires_at":${expiresAt}`;
    const who = `"connection":"${connection}","user":${JSON.stringify(user)}`;
    return `{"type":"welcome","v":1,${who},"server_time":${this.#now()}${expiry},${this.#tail}}`;
  }
}

function welcomeLimits(limits: Limits): WelcomeLimits {
  return {
    message_bytes: limits.messageBytes,
    rooms: limits.rooms,
    requests_per_s: limits.requestsPerS,
    dedupe_ms: limits.dedupeMs,
  };
}
