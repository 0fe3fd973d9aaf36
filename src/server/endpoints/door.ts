import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type Server as TypedServer } from "ws";
import { anonymousIdentity } from "../auth/anonymous.ts";
import { findCredentials, queryOf } from "../auth/credentials.ts";
import type { Identity, RequestFacts } from "../auth/identity.ts";
import { originAllowed } from "../auth/origin.ts";
import { turnedAway } from "../capacity.ts";
import type { Socket } from "../connection.ts";
import { refusals, tooFast, webSocketOptions } from "../door.ts";
import type { AddressOf } from "../proxies.ts";
import type { RateLimits } from "../rate-limits.ts";
import { pathOf } from "../target.ts";
import { traced } from "../traced.ts";
import type { Tracing } from "../tracing.ts";
import { checkUpgrade, notNow, refusal, writeRefusal, type UpgradeRefusal } from "../upgrade.ts";
import { RawConnection } from "./connection.ts";
import { makeEndpoint, type AnyAsking, type AnyHandler, type AnyOptions, type Endpoint } from "./endpoint.ts";
import { bySpecificity, matchPath } from "./path.ts";
import { checkRefusal, type Refusal } from "./refuse.ts";
import { checkRequest } from "./request.ts";
import { runHandler, type RunContext } from "./run.ts";

export interface EndpointDoorContext extends RunContext {
  readonly tracing: Tracing | undefined;
  readonly anonymous: boolean;
  readonly cookie: string | undefined;
  readonly origins: readonly string[] | undefined;
  readonly deflate: boolean;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly draining: () => boolean;
  readonly newId: () => string;
  readonly addressOf: AddressOf;
  readonly rates: RateLimits;
  readonly refused: (status: number) => void;
  readonly opened: (connection: RawConnection) => void;
  readonly ended: (connection: RawConnection, code: number) => void;
}

interface Route {
  readonly endpoint: Endpoint;
  readonly server: TypedServer<typeof Socket>;
}

/** Somebody at the door: what is known of the request. */
interface Visitor {
  readonly route: Route;
  readonly request: IncomingMessage;
  readonly params: Readonly<Record<string, string>>;
  readonly facts: RequestFacts;
}

type Answer = { readonly asking: AnyAsking } | { readonly refused: Refusal };

/** The app's own routes: all that can be refused before an upgrade, the upgrade, and what is refused right after it. */
export class EndpointDoor {
  readonly #context: EndpointDoorContext;
  readonly #routes: Route[] = [];
  /** Upgrades that wait for the app's answer: they count as connections, by address too. */
  readonly #waiting: Map<Duplex, string> = new Map();

  constructor(context: EndpointDoorContext) {
    this.#context = context;
  }

  /** Throws on options that cannot work, or on a path that is taken. */
  add(path: string, options: AnyOptions, handler: AnyHandler): void {
    const { limits, deflate } = this.#context;
    const endpoint = makeEndpoint(path, options, handler, limits);
    if (this.#routes.some((route) => route.endpoint.path.path === path)) {
      throw new TypeError(`endpoint ${path} is declared twice`);
    }
    const server = new WebSocketServer({
      ...webSocketOptions,
      perMessageDeflate: deflate,
      maxPayload: endpoint.messageBytes,
      handleProtocols: (offered: Set<string>) => options.protocols?.find((known) => offered.has(known)) ?? false,
    });
    this.#routes.push({ endpoint, server });
    // Stable: among those that are equally specific the first declared stays the first.
    this.#routes.sort((a, b) => bySpecificity(a.endpoint.path, b.endpoint.path));
  }

  owns(request: IncomingMessage): boolean {
    return this.#find(request) !== undefined;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const found = this.#find(request);
    const params = found && decodeAll(found.params);
    if (found === undefined || params === undefined) {
      this.#turnAway(socket, refusal(400, "the path is not well-formed"));
      return;
    }
    const refused = checkUpgrade(request) ?? this.#refuse(request, found.route.endpoint);
    if (refused !== undefined) return this.#turnAway(socket, refused);
    const facts = {
      path: pathOf(request),
      query: queryOf(request.url),
      headers: request.headers,
      address: this.#context.addressOf(request),
    };
    void this.#receive({ route: found.route, request, params, facts }, socket, head);
  }

  #find(request: IncomingMessage): { route: Route; params: Readonly<Record<string, string>> } | undefined {
    if (this.#routes.length === 0) return undefined;
    const parts = pathOf(request).split("/").slice(1);
    for (const route of this.#routes) {
      const params = matchPath(route.endpoint.path, parts);
      if (params !== undefined) return { route, params };
    }
    return undefined;
  }

  #turnAway(socket: Duplex, refused: UpgradeRefusal): void {
    this.#context.refused(refused.status);
    writeRefusal(socket, refused);
  }

  #refuse(request: IncomingMessage, { options }: Endpoint): UpgradeRefusal | undefined {
    const { connections, limits, draining, addressOf } = this.#context;
    if (!originAllowed(request, options.origins ?? this.#context.origins))
      return refusal(403, "this origin is not allowed");
    const address = addressOf(request);
    const reason = turnedAway({ connections, limits, draining }, address);
    if (reason !== undefined) return refusals[reason];
    if (connections.size + this.#waiting.size >= limits.connections) return refusals.full;
    const here = [...this.#waiting.values()].filter((other) => other === address).length;
    if (connections.countOf(address) + here >= limits.connectionsPerAddress) return refusals.address;
    const waitMs = this.#context.rates.connect(address);
    return waitMs > 0 ? tooFast(waitMs) : undefined;
  }

  async #receive(visitor: Visitor, socket: Duplex, head: Buffer): Promise<void> {
    const { logger, clock } = this.#context;
    this.#waiting.set(socket, visitor.facts.address);
    let late: unknown;
    const deadline = new Promise<UpgradeRefusal>((resolve) => {
      late = clock.setTimeout(() => resolve(notNow("not ready")), visitor.route.endpoint.authWithinMs);
    });
    let answer: Answer | UpgradeRefusal;
    try {
      const endpoint = { "fanfare.transport": "endpoint", "fanfare.endpoint": visitor.route.endpoint.path.path };
      const asked = traced(
        this.#context.tracing,
        "fanfare.connect",
        () => endpoint,
        () => this.#ask(visitor),
      );
      answer = await Promise.race([asked, deadline]);
    } catch (error) {
      logger.error(
        { endpoint: visitor.route.endpoint.path.path, err: error },
        "an endpoint cannot tell who may come in",
      );
      answer = refusal(500, "internal error");
    }
    clock.clearTimeout(late);
    this.#waiting.delete(socket);
    // The peer may have gone while it was asked who it is.
    if (socket.destroyed) return;
    if (this.#context.draining()) return this.#turnAway(socket, refusals.draining);
    if ("status" in answer) return this.#turnAway(socket, answer);
    if ("refused" in answer && answer.refused.code < 1000) {
      return this.#turnAway(socket, refusal(answer.refused.code, oneLine(answer.refused.reason)));
    }
    this.#admit(visitor, answer, socket, head);
  }

  /** Credentials first, then the app's schemas, then its own say. A check that fails is 503, and may pass by itself. */
  async #ask({ route, request, params, facts }: Visitor): Promise<Answer | UpgradeRefusal> {
    const { options } = route.endpoint;
    const unauthorized = { code: options.unauthorized ?? 4001, reason: "unauthorized" };
    let identity: Identity | undefined;
    if (options.authenticate === true || options.authenticate === "optional") {
      const { cookie, anonymous, check, randomBytes, draining, logger } = this.#context;
      const origins = options.origins ?? this.#context.origins;
      const credentials = findCredentials(request, facts.query, { cookie, origins });
      try {
        if (credentials !== undefined) identity = await check(credentials, facts);
        else if (anonymous) identity = anonymousIdentity(facts.query, undefined, randomBytes);
      } catch (error) {
        // A hub that closes takes with it what the check needs, and lets nobody in whatever that says.
        if (!draining())
          logger.error({ endpoint: route.endpoint.path.path, err: error }, "credentials cannot be checked");
        return notNow("not ready");
      }
      const isNeeded = options.authenticate === true || credentials !== undefined;
      if (identity === undefined && isNeeded) return { refused: unauthorized };
    }
    const checked = await checkRequest(options, params, facts.query);
    if ("refused" in checked) return checked;
    const { headers, address } = facts;
    const asking = { ...checked, headers, address, identity, user: identity?.user };
    const refused = await options.accept?.(asking);
    return refused === undefined || refused === null ? { asking } : { refused: checkRefusal(refused) };
  }

  #admit(visitor: Visitor, answer: Answer, stream: Duplex, head: Buffer): void {
    const { connections, limits, clock, newId, opened, ended, rates } = this.#context;
    const { endpoint, server } = visitor.route;
    const { turn } = this.#context;
    server.handleUpgrade(visitor.request, stream, head, (socket) => {
      const connection = new RawConnection(
        {
          turn,
          clock,
          outboxBytes: limits.outboxBytes,
          monotonic: clock.monotonic,
          graceMs: 0,
          messagesPerS: endpoint.messagesPerS,
          rates,
          ended: (_, code) => ended(connection, code),
        },
        socket,
        stream,
        newId(),
        visitor.facts.address,
      );
      connections.add(connection);
      opened(connection);
      if ("refused" in answer) connection.close(answer.refused.code, answer.refused.reason);
      else runHandler(this.#context, endpoint, connection, visitor.facts, answer.asking);
    });
  }
}

/** Undefined where a part is malformed. */
function decodeAll(params: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  try {
    return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    return undefined;
  }
}

/** A reason goes into a body of one line. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
