import { randomBytes } from "node:crypto";
import { closeCodes } from "../protocol/codes.ts";
import { Admission, type CheckCredentials } from "./admission.ts";
import type { Identity, RequestFacts } from "./auth/identity.ts";
import type { Clock } from "./clock.ts";
import type { Connected } from "./connected.ts";
import { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";
import { Door } from "./door.ts";
import { RawConnection } from "./endpoints/connection.ts";
import { EndpointDoor } from "./endpoints/door.ts";
import { Heartbeat } from "./heartbeat.ts";
import { idMaker } from "./ids.ts";
import type { HubOptions, Limits, Logger } from "./options.ts";
import type { AddressOf } from "./proxies.ts";
import type { RequestContext } from "./requester.ts";
import { Requests } from "./requests.ts";
import { StreamDoor } from "./sse/door.ts";
import { EventEncoder } from "./sse/events.ts";
import type { Turn } from "./turn.ts";

export interface DoorsContext {
  readonly options: Omit<HubOptions, "rooms">;
  readonly limits: Limits;
  readonly addressOf: AddressOf;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connections: Connections;
  readonly turn: Turn;
  readonly requests: RequestContext;
  readonly check: CheckCredentials;
  /** Whether the credentials were revoked while they were checked. */
  readonly overtaken: (identity: Identity) => boolean;
  /** Whether new connections are turned away (P-15). */
  readonly draining: () => boolean;
}

/** The ways in, by what is spoken behind them, and what every connection that came by one of them has: its deadlines. */
export class Doors {
  /** Undefined: the hub's protocol is not served. */
  readonly sockets: Door | undefined;
  readonly endpoints: EndpointDoor;
  readonly streams: StreamDoor;
  readonly #context: DoorsContext;
  readonly #heartbeat: Heartbeat;

  /** `path`: of the hub's protocol; false: it is not served. */
  constructor(context: DoorsContext, path: string | false) {
    this.#context = context;
    const asks = new Requests(context.requests);
    const admission = this.#makeAdmission(asks);
    this.#heartbeat = this.#makeHeartbeat(admission);
    const newId = idMaker(randomBytes);
    this.sockets = path === false ? undefined : this.#makeDoor(admission, path, newId);
    this.endpoints = this.#makeEndpointDoor(newId);
    this.streams = this.#makeStreamDoor(asks, newId);
  }

  /** Leaves no timer behind. */
  stop(): void {
    this.#heartbeat.stop();
    this.streams.stop();
  }

  #makeAdmission(asks: Requests): Admission {
    const { options, check, overtaken, connections, limits, clock, logger, requests } = this.#context;
    const { anonymous = false, anonymousRooms, cookie, origins } = options;
    return new Admission({
      check,
      overtaken,
      anonymous,
      anonymousRooms,
      cookie,
      origins,
      randomBytes,
      connections,
      limits,
      clock,
      logger,
      tracing: requests.tracing,
      session: {
        ...requests,
        requests: asks,
        logger,
        renew: async (token, { address }) => check({ kind: "renewal", token }, { ...noRequest, address }),
      },
    });
  }

  #makeHeartbeat(admission: Admission): Heartbeat {
    const { clock, limits } = this.#context;
    return new Heartbeat({
      clock,
      pingMs: limits.pingMs,
      connections: () => this.#connections(),
      authOverdue: (connection) => {
        if (connection instanceof RawConnection) connection.close(closeCodes.policy, "not signed in");
        else admission.overdue(connection);
      },
    });
  }

  /** With a socket: streams keep their own time. */
  *#connections(): Generator<Connection> {
    for (const connection of this.#context.connections.all()) if (connection instanceof Connection) yield connection;
  }

  #makeDoor(admission: Admission, path: string, newId: () => string): Door {
    const { options, limits, clock, connections, turn, draining, addressOf } = this.#context;
    const { origins, deflate = false } = options;
    return new Door({
      path,
      origins,
      limits,
      deflate,
      connections,
      connection: {
        turn,
        outboxBytes: limits.outboxBytes,
        monotonic: clock.monotonic,
        graceMs: limits.graceMs,
        ended: (connection, code) => this.#ended(connection, code),
      },
      admission,
      newId,
      addressOf,
      rates: this.#context.requests.rates,
      draining,
      refused: (status) => this.#context.requests.counts.refusedUpgrade(status),
      opened: (connection) => {
        this.#heartbeat.wake();
        this.#opened(connection);
      },
    });
  }

  #makeEndpointDoor(newId: () => string): EndpointDoor {
    const { options, limits, clock, logger, connections, turn, check, overtaken, draining, addressOf } = this.#context;
    const { anonymous = false, cookie, origins, deflate = false } = options;
    return new EndpointDoor({
      check,
      tracing: this.#context.requests.tracing,
      overtaken,
      anonymous,
      cookie,
      origins,
      deflate,
      randomBytes,
      connections,
      limits,
      clock,
      logger,
      turn,
      draining,
      newId,
      addressOf,
      rates: this.#context.requests.rates,
      refused: (status) => this.#context.requests.counts.refusedUpgrade(status),
      opened: (connection) => {
        this.#heartbeat.wake();
        this.#opened(connection);
      },
      ended: (connection, code) => this.#ended(connection, code),
    });
  }

  #makeStreamDoor(asks: Requests, newId: () => string): StreamDoor {
    const { options, limits, clock, logger, connections, turn, check, overtaken, draining, addressOf } = this.#context;
    return new StreamDoor({
      options,
      check,
      overtaken,
      randomBytes,
      clock,
      limits,
      connections,
      draining,
      tracing: this.#context.requests.tracing,
      stream: {
        turn,
        outboxBytes: limits.outboxBytes,
        graceMs: limits.graceMs,
        monotonic: clock.monotonic,
        random: Math.random,
        encoder: new EventEncoder(),
        requests: asks,
        logger,
        counts: this.#context.requests.counts,
      },
      newId,
      addressOf,
      rates: this.#context.requests.rates,
      refused: (status) => this.#context.requests.counts.refusedUpgrade(status),
      opened: (stream) => this.#opened(stream),
      ended: (stream, code) => this.#ended(stream, code),
    });
  }

  #opened({ id, address }: Connected): void {
    this.#context.logger.debug({ connection: id, address }, "connection opened");
  }

  #ended(connection: Connected, code: number): void {
    this.#context.connections.remove(connection);
    const { logger, clock, requests } = this.#context;
    requests.counts.closed(code);
    const { id, user, openedAt } = connection;
    const durationMs = Math.round(clock.monotonic() - openedAt);
    logger.debug({ connection: id, user, code, durationMs }, "connection ended");
  }
}

/** A renewal comes by no request of its own, and to keep each connection's first one would cost a kilobyte each. */
const noRequest: Omit<RequestFacts, "address"> = { path: "", query: new URLSearchParams(), headers: {} };
