import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { closeCodes } from "../protocol/codes.ts";
import { Admission, type CheckCredentials } from "./admission.ts";
import { takePath } from "./attach.ts";
import type { Identity, RequestFacts } from "./auth/identity.ts";
import type { Clock } from "./clock.ts";
import type { Connected } from "./connected.ts";
import { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";
import { Door } from "./door.ts";
import { drain } from "./drain.ts";
import { Heartbeat } from "./heartbeat.ts";
import { makeHttpServer } from "./http-server.ts";
import { idMaker } from "./ids.ts";
import type { HubOptions, Limits, Logger } from "./options.ts";
import type { AddressOf } from "./proxies.ts";
import type { RequestContext } from "./requester.ts";
import { Requests } from "./requests.ts";
import { StreamDoor } from "./sse/door.ts";
import { RawConnection } from "./endpoints/connection.ts";
import { EndpointDoor } from "./endpoints/door.ts";
import type { AnyHandler, AnyOptions } from "./endpoints/endpoint.ts";
import { compilePath, isUnder } from "./endpoints/path.ts";
import { EventEncoder } from "./sse/events.ts";
import { headersOf } from "./target.ts";
import type { Turn } from "./turn.ts";
import { notNow, refusePlainRequest, respondRefusal, writeRefusal, type UpgradeRefusal } from "./upgrade.ts";

const defaultPath = "/ws";

export interface EntrancesContext {
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
  /** Opens the backend; rejects where it cannot be opened now. */
  readonly start: () => Promise<void>;
  /** Whether it is open, so that no connect pays for a promise. */
  readonly isOpen: () => boolean;
  /** Whether new connections are turned away (P-15). */
  readonly draining: () => boolean;
}

/** How connections come in and go: the servers and paths, the doors for sockets and streams, every deadline, the drain. */
export class Entrances {
  readonly #context: EntrancesContext;
  readonly #heartbeat: Heartbeat;
  /** Undefined: the hub's protocol is not served. */
  readonly #door: Door | undefined;
  readonly #endpoints: EndpointDoor;
  readonly #streams: StreamDoor;
  readonly #detach: Set<() => void> = new Set();
  /** Servers that `listen` made. */
  readonly #servers: Set<Server> = new Set();

  /** Throws a TypeError on a path that no request could have. */
  constructor(context: EntrancesContext) {
    const { path = defaultPath } = context.options;
    if (path !== false) checkPath(path);
    this.#context = context;
    const asks = new Requests(context.requests);
    const admission = this.#makeAdmission(asks);
    this.#heartbeat = new Heartbeat({
      clock: context.clock,
      pingMs: context.limits.pingMs,
      connections: () => this.#sockets(),
      authOverdue: (connection) => {
        if (connection instanceof RawConnection) connection.close(closeCodes.policy, "not signed in");
        else admission.overdue(connection);
      },
    });
    const newId = idMaker(randomBytes);
    this.#door = path === false ? undefined : this.#makeDoor(admission, path, newId);
    this.#endpoints = this.#makeEndpointDoor(newId);
    this.#streams = this.#makeStreamDoor(asks, newId);
  }

  /** A route of the app's own. Throws on options that cannot work, or on a path that is taken. */
  endpoint(path: string, options: AnyOptions, handler: AnyHandler): void {
    const { path: own = defaultPath } = this.#context.options;
    if (own !== false && isUnder(compilePath(path), own)) {
      throw new TypeError(
        `endpoint ${path}: ${own} is the hub's own path; give the hub another one, or \`path: false\``,
      );
    }
    this.#endpoints.add(path, options, handler);
  }

  #ownsSocket(request: IncomingMessage): boolean {
    return this.#door?.owns(request) ?? false;
  }

  /**
   * Takes the paths of the socket (`/ws` and below) and of streams (`/sse`) on a node:http server, and leaves all else to
   * the server's own.
   */
  attach(server: Server): { detach(): void } {
    const restore = takePath(server, {
      ownsUpgrade: (request) => this.#ownsSocket(request) || this.#endpoints.owns(request),
      upgrade: (request, socket, head) => {
        // Before the first await: a peer that resets must not end the process.
        socket.on("error", ignore);
        request.headers = headersOf(request);
        const door = this.#ownsSocket(request) ? this.#door : this.#endpoints;
        const upgrade = (): void => door?.upgrade(request, socket, head);
        if (this.#context.isOpen()) upgrade();
        else this.#context.start().then(upgrade, () => writeRefusal(socket, this.#refused(notNow("not ready"))));
      },
      ownsRequest: (request) => this.#ownsSocket(request) || this.#streams.owns(request),
      request: (request, response) => {
        request.headers = headersOf(request);
        if (!this.#streams.owns(request)) return respondRefusal(response, this.#refused(refusePlainRequest(request)));
        const serve = (isReady: boolean): void => this.#streams.serve(request, response, isReady);
        if (this.#context.isOpen()) return serve(true);
        void this.#context.start().then(
          () => serve(true),
          () => serve(false),
        );
      },
    });
    const detach = (): void => {
      if (this.#detach.delete(detach)) restore();
    };
    this.#detach.add(detach);
    return { detach };
  }

  /** A server of its own: nothing but sockets and streams. `port` 0 or absent: any free one. */
  async listen({ port = 0, host = "127.0.0.1" }: { port?: number; host?: string } = {}): Promise<Listening> {
    await this.#context.start();
    const server = makeHttpServer((request, response) => {
      // P-15. On a server of the app's own, plain requests for an endpoint's path are the app's.
      if (this.#endpoints.owns(request)) respondRefusal(response, this.#refused(refusePlainRequest(request)));
      else response.writeHead(404).end();
    });
    this.attach(server);
    this.#servers.add(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    const address = server.address() as AddressInfo;
    const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return { port: address.port, host: address.address, url: `http://${name}:${address.port}`, server };
  }

  /** Sends everyone away, and lets go of all servers (P-53). */
  async close(drainMs: number): Promise<void> {
    const { connections } = this.#context;
    await drain([...connections.all()], { drainMs, random: Math.random });
    // One that was let in while the others were sent away.
    for (const connection of [...connections.all()]) connection.close(closeCodes.restart, "restart");
    this.#heartbeat.stop();
    this.#streams.stop();
    for (const detach of [...this.#detach]) detach();
    for (const server of this.#servers) server.close();
  }

  *#sockets(): Generator<Connection> {
    for (const connection of this.#context.connections.all()) if (connection instanceof Connection) yield connection;
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

  #refused(refused: UpgradeRefusal): UpgradeRefusal {
    this.#context.requests.counts.refusedUpgrade(refused.status);
    return refused;
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

function checkPath(path: string): void {
  if (!/^(?:\/[^/?#\s]+)+$/.test(path))
    throw new TypeError(`path must look like /ws or /app/ws, got ${JSON.stringify(path)}`);
}

/** Where a hub listens. */
export interface Listening {
  readonly port: number;
  readonly host: string;
  readonly url: string;
  readonly server: Server;
}

/** A renewal comes by no request of its own, and to keep each connection's first one would cost a kilobyte each. */
const noRequest: Omit<RequestFacts, "address"> = { path: "", query: new URLSearchParams(), headers: {} };

function ignore(): void {}
