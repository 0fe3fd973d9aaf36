import { closeCodes } from "../protocol/codes.ts";
import { encodeFrame } from "../protocol/encode.ts";
import { defaults } from "../protocol/limits.ts";
import type { Clock } from "./clock.ts";
import { isMidMessage, type Connection } from "./connection.ts";
import { frameText } from "./wire.ts";

/** A message whose end does not come within this is a misuse: close 1008. It is under the 10 s that are promised. */
const unfinishedMs = 8_000;
const maxSweepMs = 250;
const minSweepMs = 10;

const ping = frameText(encodeFrame({ type: "ping" }));

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly pingMs: number;
  readonly connections: () => Iterable<Connection>;
  /** The first `auth` did not come in time, or its check did not end. */
  readonly authOverdue: (connection: Connection) => void;
}

/**
 * Every deadline of every connection, looked at several times a second by one timer: a timer for each would cost more
 * memory than the connection's own state. Runs while there are connections.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #everyMs: number;
  #timer: unknown;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#everyMs = Math.min(maxSweepMs, Math.max(minSweepMs, options.pingMs / 8));
  }

  /** Called for every new connection; starts the timer where it stood still. */
  wake(): void {
    this.#timer ??= this.#options.clock.setTimeout(this.#sweep, this.#everyMs);
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const { clock, connections } = this.#options;
    const monotonic = clock.monotonic();
    const now = clock.now();
    let any = false;
    for (const connection of connections()) {
      any = true;
      this.#look(connection, monotonic, now);
    }
    if (any) this.wake();
  };

  #look(connection: Connection, monotonic: number, now: number): void {
    const { pingMs, authOverdue } = this.#options;
    // What stands unread in a socket that we hold back may well be a pong, or the rest of a message.
    if (connection.held) {
      connection.heardAt = monotonic;
      connection.unfinished = undefined;
    }
    if (connection.authBy !== undefined && monotonic >= connection.authBy) authOverdue(connection);
    else if (monotonic - connection.heardAt > pingMs + defaults.silenceMs) {
      connection.close(closeCodes.heartbeatLost, "nothing heard");
    } else if (this.#isStuck(connection, monotonic)) {
      connection.close(closeCodes.policy, "unfinished message");
    } else {
      if (monotonic - connection.pingAt >= pingMs) this.#ping(connection, monotonic);
      this.#checkExpiry(connection, now);
    }
  }

  /** P-50: a peer of this protocol answers with a frame of its own, any other by its WebSocket library. */
  #ping(connection: Connection, monotonic: number): void {
    connection.pingAt = monotonic;
    if (connection.socket.protocol !== "" && connection.session !== undefined) connection.outbox.push(ping);
    else connection.socket.ping();
  }

  #isStuck(connection: Connection, monotonic: number): boolean {
    if (connection.held || !isMidMessage(connection.socket)) {
      connection.unfinished = undefined;
      return false;
    }
    const { messages, unfinished } = connection;
    if (unfinished?.messages !== messages) connection.unfinished = { messages, since: monotonic };
    return monotonic - (connection.unfinished?.since ?? monotonic) > unfinishedMs;
  }

  #checkExpiry(connection: Connection, now: number): void {
    const { expiresAt } = connection.identity;
    if (expiresAt === undefined) return;
    if (now >= expiresAt) {
      connection.close(closeCodes.tokenExpired, "token expired");
    } else if (
      connection.session !== undefined &&
      !connection.reauthTold &&
      now >= expiresAt - defaults.reauthWithinMs
    ) {
      connection.reauthTold = true;
      connection.send(encodeFrame({ type: "reauth", within_ms: expiresAt - now }));
    }
  }
}
