import type { IncomingMessage } from "node:http";
import { closeCodes } from "../protocol/codes.ts";
import { encodeFrame } from "../protocol/encode.ts";
import type { ErrorFrame } from "../protocol/frames.ts";
import { parseClientFrame } from "../protocol/parse.ts";
import { anonymousIdentity } from "./auth/anonymous.ts";
import { findCredentials } from "./auth/credentials.ts";
import type { Credentials, Identity, RequestFacts, RoomRights } from "./auth/identity.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";
import { isLater } from "./later.ts";
import type { Limits, Logger } from "./options.ts";
import { Session } from "./session.ts";
import type { SessionContext } from "./session-context.ts";
import type { Tracing } from "./tracing.ts";
import { Welcome } from "./welcome.ts";

/** What tells whose credentials are good: the app's function, tickets and revocations together. */
export type CheckCredentials = (
  credentials: Credentials,
  request: RequestFacts,
) => Identity | undefined | Promise<Identity | undefined>;

export interface AdmissionContext {
  readonly check: CheckCredentials;
  /** Whether the credentials were revoked while they were checked. */
  readonly overtaken: (identity: Identity) => boolean;
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
  readonly tracing: Tracing | undefined;
}

/** How many characters may come in before the credentials are settled; a client that sends more is closed. */
const maxEarlyCharacters = 1_048_576;

/** Brings a connection from its handshake to `welcome`, or to its close (P-11 to P-18). */
export class Admission {
  readonly #context: AdmissionContext;
  readonly #welcomeFrame: Welcome;

  constructor(context: AdmissionContext) {
    this.#context = context;
    this.#welcomeFrame = new Welcome(context.limits, context.clock.now);
  }

  admit(connection: Connection, request: IncomingMessage, facts: RequestFacts): void {
    const { tracing } = this.#context;
    if (tracing === undefined) return this.#admit(connection, request, facts);
    const span = tracing.start("fanfare.connect", { "fanfare.connection": connection.id, "fanfare.transport": "ws" });
    connection.span = span;
    span.run(() => this.#admit(connection, request, facts));
  }

  #admit(connection: Connection, request: IncomingMessage, facts: RequestFacts): void {
    const { cookie, origins, anonymous, anonymousRooms, randomBytes } = this.#context;
    const credentials = findCredentials(request, facts.query, { cookie, origins });
    if (credentials !== undefined) {
      this.#settle(connection, facts, credentials);
    } else if (anonymous && facts.query.get("auth") !== "first") {
      this.#decide(connection, facts, anonymousIdentity(facts.query, anonymousRooms, randomBytes));
    } else {
      this.#askFirst(connection, facts);
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
  #askFirst(connection: Connection, facts: RequestFacts): void {
    const { limits, clock } = this.#context;
    connection.authBy = clock.monotonic() + limits.authWithinMs;
    connection.send(encodeFrame({ type: "auth_required", within_ms: limits.authWithinMs }));
    connection.early = (text) => {
      const token = tokenOf(text);
      if (token === undefined) this.refuse(connection);
      else this.#settle(connection, facts, { kind: "first", token });
    };
  }

  /** A token is mostly checked at once, and then no connect that came with one pays for a promise. */
  #settle(connection: Connection, facts: RequestFacts, credentials: Credentials): void {
    let found: Identity | undefined | Promise<Identity | undefined>;
    try {
      found = this.#context.check(credentials, facts);
    } catch (error) {
      this.#cannotCheck(connection, error);
      return;
    }
    if (isLater(found)) this.#wait(connection, facts, found);
    // What came together with it was sent before `welcome`, and a second `auth` there is a misuse (P-14).
    else if (credentials.kind === "first") this.#wait(connection, facts, Promise.resolve(found));
    else this.#decide(connection, facts, found);
  }

  #wait(connection: Connection, facts: RequestFacts, found: PromiseLike<Identity | undefined>): void {
    const { limits, clock } = this.#context;
    connection.checking = true;
    connection.authBy = clock.monotonic() + limits.authWithinMs;
    const early = this.#holdEarly(connection);
    found.then(
      (identity) => {
        if (connection.closed) return;
        this.#decide(connection, facts, identity);
        if (early.length > 0) connection.socket.resume();
        for (const text of early) {
          // Closed by one of them: what stands behind it came too late.
          if (!connection.closed) connection.session?.receive(text);
        }
      },
      (error: unknown) => this.#cannotCheck(connection, error),
    );
  }

  /** Keeps what comes in while credentials are checked. The socket is paused then, so this is little. */
  #holdEarly(connection: Connection): string[] {
    const texts: string[] = [];
    let characters = 0;
    connection.early = (text) => {
      connection.socket.pause();
      characters += text.length;
      if (characters > maxEarlyCharacters) connection.close(closeCodes.policy, "too much before authentication");
      // What follows an `auth` waits for its outcome; a second one is a misuse.
      else if (tokenOf(text) !== undefined) this.refuse(connection);
      else texts.push(text);
    };
    return texts;
  }

  #cannotCheck(connection: Connection, error: unknown): void {
    this.#context.logger.error({ connection: connection.id, err: error }, "credentials cannot be checked");
    this.#fail(connection, "unavailable", closeCodes.tryLater);
  }

  #decide(connection: Connection, facts: RequestFacts, identity: Identity | undefined): void {
    if (identity === undefined) this.refuse(connection);
    else this.#welcome(connection, facts, identity);
  }

  #welcome(connection: Connection, facts: RequestFacts, identity: Identity): void {
    const { connections, limits, session: shared } = this.#context;
    if (this.#context.overtaken(identity)) {
      this.refuse(connection);
      return;
    }
    if (connections.countOfUser(identity.user) >= limits.connectionsPerUser) {
      connection.close(closeCodes.tooManyConnections, "too many connections of this user");
      return;
    }
    connection.identity = identity;
    connection.authBy = undefined;
    connections.setUser(connection);
    const session = new Session(shared, connection);
    connection.session = session;
    connection.send(this.#welcomeFrame.text(connection.id, identity));
    connection.early = undefined;
    connection.welcomed();
    this.#joinFromPath(session, facts);
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

/** The token of an `auth`; undefined for any other text. */
function tokenOf(text: string): string | undefined {
  const parsed = parseClientFrame(text);
  return parsed.ok && parsed.frame.type === "auth" ? parsed.frame.token : undefined;
}
