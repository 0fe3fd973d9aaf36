import type { IncomingMessage } from "node:http";
import { closeCodes } from "../protocol/codes.ts";
import { encodeFrame } from "../protocol/encode.ts";
import type { ErrorFrame, WelcomeLimits } from "../protocol/frames.ts";
import { parseClientFrame } from "../protocol/parse.ts";
import { anonymousUser } from "./auth/anonymous.ts";
import { findCredentials } from "./auth/credentials.ts";
import type { Credentials, Identity, RequestFacts, RoomRights } from "./auth/identity.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";
import type { Limits, Logger } from "./options.ts";
import { Session, type SessionContext } from "./session.ts";

/** What tells whose credentials are good: the app's function, tickets and revocations together. */
export type CheckCredentials = (credentials: Credentials, request: RequestFacts) => Promise<Identity | undefined>;

export interface AdmissionContext {
  readonly check: CheckCredentials;
  readonly anonymous: boolean;
  readonly anonymousRooms: RoomRights | undefined;
  readonly cookie: string | undefined;
  readonly origins: readonly string[] | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly connections: Connections;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly session: SessionContext;
}

/** How many characters may come in before the credentials are settled; a client that sends more is closed. */
const maxEarlyCharacters = 1_048_576;

/** Brings a connection from its handshake to `welcome`, or to its close (P-11 to P-18). */
export class Admission {
  readonly #context: AdmissionContext;
  readonly #welcomeTail: string;

  constructor(context: AdmissionContext) {
    this.#context = context;
    const { pingMs, ...limits } = context.limits;
    this.#welcomeTail = `"ping_ms":${pingMs},"limits":${JSON.stringify(welcomeLimits(limits))}`;
  }

  async admit(connection: Connection, request: IncomingMessage, facts: RequestFacts): Promise<void> {
    const { cookie, origins, anonymous, anonymousRooms: rooms, randomBytes } = this.#context;
    const early = holdEarly(connection);
    const credentials = findCredentials(request, facts.query, { cookie, origins });
    if (credentials !== undefined) {
      await this.#settle(connection, facts, credentials, early);
    } else if (anonymous && facts.query.get("auth") !== "first") {
      const user = anonymousUser(facts.query.getAll("anonymous"), randomBytes);
      if (user === undefined) this.refuse(connection);
      else this.#welcome(connection, facts, { user, ...(rooms !== undefined && { rooms }) }, early);
    } else {
      this.#askFirst(connection, facts, early);
    }
  }

  /** Nothing came in time: neither the first `auth`, nor an answer from the app's own check of it. */
  overdue(connection: Connection): void {
    if (!connection.checking) {
      this.refuse(connection);
      return;
    }
    this.#context.logger.error({ connection: connection.id }, "the check of credentials does not end");
    this.#fail(connection, "unavailable", closeCodes.tryLater);
  }

  /** P-13: `unauthorized`, then the close that a browser can see. */
  refuse(connection: Connection): void {
    this.#fail(connection, "unauthorized", closeCodes.unauthorized);
  }

  /** P-14: the first frame must be `auth`. */
  #askFirst(connection: Connection, facts: RequestFacts, early: Early): void {
    const { limits, clock } = this.#context;
    connection.authBy = clock.monotonic() + limits.authWithinMs;
    connection.send(encodeFrame({ type: "auth_required", within_ms: limits.authWithinMs }));
    connection.early = (text) => {
      const token = tokenOf(text);
      if (token === undefined) {
        this.refuse(connection);
        return;
      }
      // What follows waits for the outcome; a second `auth` among it is a misuse.
      const held = holdEarly(connection, (next) => {
        if (tokenOf(next) !== undefined) this.refuse(connection);
      });
      void this.#settle(connection, facts, { kind: "first", token }, held);
    };
    for (const text of early.release()) connection.early?.(text);
  }

  async #settle(connection: Connection, facts: RequestFacts, credentials: Credentials, early: Early): Promise<void> {
    const { check, logger, limits, clock } = this.#context;
    connection.checking = true;
    connection.authBy = clock.monotonic() + limits.authWithinMs;
    let identity: Identity | undefined;
    try {
      identity = await check(credentials, facts);
    } catch (error) {
      logger.error({ connection: connection.id, err: error }, "credentials cannot be checked");
      this.#fail(connection, "unavailable", closeCodes.tryLater);
      return;
    }
    if (connection.closed) return;
    if (identity === undefined) this.refuse(connection);
    else this.#welcome(connection, facts, identity, early);
  }

  #welcome(connection: Connection, facts: RequestFacts, identity: Identity, early: Early): void {
    const { connections, limits, session: shared } = this.#context;
    if (connections.countOfUser(identity.user) >= limits.connectionsPerUser) {
      connection.close(closeCodes.tooManyConnections, "too many connections of this user");
      return;
    }
    connection.identity = identity;
    connection.authBy = undefined;
    connections.setUser(connection);
    const session = new Session(shared, connection);
    connection.session = session;
    connection.send(this.#welcomeText(connection, identity));
    connection.early = undefined;
    this.#joinFromPath(session, facts);
    for (const text of early.release()) session.receive(text);
  }

  /** P-12, put together by hand: most of it is the same for all, and every connect pays for the rest. */
  #welcomeText({ id }: Connection, { user, expiresAt }: Identity): string {
    const expiry = expiresAt === undefined ? "" : `,"expires_at":${expiresAt}`;
    const who = `"connection":"${id}","user":${JSON.stringify(user)}`;
    return `{"type":"welcome","v":1,${who},"server_time":${this.#context.clock.now()}${expiry},${this.#welcomeTail}}`;
  }

  /** P-10: `/ws/{room}` joins that room, as by a `join` that a client wrote. */
  #joinFromPath(session: Session, facts: RequestFacts): void {
    if (facts.room === undefined) return;
    const since = facts.query.get("since");
    const join = { type: "join", room: facts.room };
    if (since === null) {
      session.receive(JSON.stringify(join));
      return;
    }
    const wanted = JSON.stringify({ ...join, since });
    session.receive(wanted);
    const parsed = parseClientFrame(wanted);
    if (!parsed.ok && parseClientFrame(JSON.stringify(join)).ok) session.receive(JSON.stringify(join));
  }

  #fail(connection: Connection, code: ErrorFrame["code"], close: number): void {
    const message = code === "unauthorized" ? "bad credentials" : "try again later";
    connection.send(encodeFrame({ type: "error", code, message }));
    connection.close(close, code);
  }
}

interface Early {
  /** What came in meanwhile, in order. */
  release(): string[];
}

/** The token of an `auth`; undefined for any other text. */
function tokenOf(text: string): string | undefined {
  const parsed = parseClientFrame(text);
  return parsed.ok && parsed.frame.type === "auth" ? parsed.frame.token : undefined;
}

/** Keeps what comes in while credentials are checked. The socket is paused, so this is little. */
function holdEarly(connection: Connection, look?: (text: string) => void): Early {
  const texts: string[] = [];
  let characters = 0;
  connection.early = (text) => {
    connection.socket.pause();
    look?.(text);
    characters += text.length;
    if (characters > maxEarlyCharacters) connection.close(closeCodes.policy, "too much before authentication");
    else texts.push(text);
  };
  return {
    release() {
      if (texts.length > 0) connection.socket.resume();
      return texts;
    },
  };
}

function welcomeLimits(limits: Omit<Limits, "pingMs">): WelcomeLimits {
  return {
    message_bytes: limits.messageBytes,
    rooms: limits.rooms,
    requests_per_s: limits.requestsPerS,
    dedupe_ms: limits.dedupeMs,
  };
}
