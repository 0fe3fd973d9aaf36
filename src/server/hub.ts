import type { Server } from "node:http";
import type { Contract, openContract, PatternOf, RoomNameOf } from "../protocol/contract.ts";
import { isName, maxUserBytes, personalRoom } from "../protocol/names.ts";
import type { Credentials, RequestFacts } from "./auth/identity.ts";
import type { Identify } from "./auth/identify.ts";
import type { Tickets } from "./auth/tickets.ts";
import { Calls } from "./calls.ts";
import { steadyNow, systemClock, type Clock } from "./clock.ts";
import type { Nodes } from "./cluster/nodes.ts";
import { warningOfWorkers } from "./one-process.ts";
import type { RoomsPage, RoomsQuery } from "./cluster/operations.ts";
import { Group, type Groups } from "./endpoints/groups.ts";
import type { AnyHandler, AnyOptions } from "./endpoints/endpoint.ts";
import type { EndpointHandler, EndpointOptions, MaybeSchema, Receive, Who } from "./endpoints/options.ts";
import { RawConnection } from "./endpoints/connection.ts";
import { lastAnswerMs, settledWithin, spreadMs } from "./drain.ts";
import type { Entrances, Listening } from "./entrances.ts";
import { ConnectionHandle, RoomHandle, UserHandle, type HandleContext } from "./handles.ts";
import type { HandlersFor, RoomHandlers } from "./handlers.ts";
import { checkLargest, type HubOptions, type Limits } from "./options.ts";
import { makeParts } from "./parts.ts";
import type { AddressOf } from "./proxies.ts";

const defaultDrainMs = 5_000;

/** A hub's parts that a test may replace. */
export interface HubSurroundings {
  readonly clock: Clock;
}

/** Makes a hub; `start` opens its backend. Throws on options that cannot work, naming them. */
export function createHub<const C extends Contract = typeof openContract>(
  options: HubOptions<C> = {},
  surroundings: Partial<HubSurroundings> = {},
): Hub<C> {
  return new Hub(options, surroundings);
}

/** Realtime rooms in this process: who is connected, what they may do, and what is sent to them. */
export class Hub<C extends Contract = Contract> {
  readonly tickets: Tickets;
  readonly limits: Limits;
  /** What users and API keys ask without a connection (P-80). */
  readonly calls: Calls;
  /** Where a request of node:http came from, past `trustedProxies`: for a transport of your own. */
  readonly addressOf: AddressOf;
  /** What its handles work on, too. */
  readonly #common: HandleContext;
  readonly #identify: Identify;
  readonly #entrances: Entrances;
  readonly #groups: Groups;
  readonly #nodes: Nodes;
  #metrics: Promise<() => Promise<string>> | undefined;
  #started: Promise<void> | undefined;
  #isOpen = false;
  #closing: Promise<void> | undefined;

  constructor(options: HubOptions<C>, { clock = systemClock() }: Partial<HubSurroundings>) {
    const parts = makeParts(options, clock, {
      start: () => this.start(),
      isOpen: () => this.#isOpen,
      isClosing: () => this.#closing !== undefined,
    });
    this.#common = parts.common;
    this.#identify = parts.identify;
    this.#entrances = parts.entrances;
    this.#groups = parts.groups;
    this.#nodes = parts.nodes;
    this.tickets = parts.tickets;
    this.limits = parts.common.limits;
    this.addressOf = parts.addressOf;
    this.calls = new Calls(parts.common);
  }

  /**
   * Opens the backend. Rejects where it cannot, with what to do about it, and can then be called again; once it is open,
   * another call changes nothing, also while the hub drains. A hub that was closed does not start again.
   */
  start(): Promise<void> {
    const isClosed = this.#closing !== undefined && !this.#isOpen;
    if (isClosed) return Promise.reject(new Error("this hub is closed; make another"));
    this.#started ??= this.#open();
    return this.#started;
  }

  async #open(): Promise<void> {
    const { backend, clock, logger, counts } = this.#common;
    try {
      await backend.open({
        now: clock.now,
        steadyNow: steadyNow(clock),
        log: (level, message, facts = {}) => logger[level](facts, message),
        missed: () => this.#nodes.operations.checkRevocations(),
        malformed: () => void counts.malformed++,
      });
      await this.#checkLargest();
      const warning = backend.promises.shared ? undefined : warningOfWorkers(backend.name);
      if (warning !== undefined) logger.warn({}, warning);
      await this.#nodes.start();
      this.#isOpen = true;
    } catch (error) {
      this.#started = undefined;
      // Nothing of a user is in its words, which say what to do about it.
      const reason = error instanceof Error ? error.message : String(error);
      logger.error({ err: error, reason }, "the backend cannot be opened");
      throw error;
    }
  }

  /** Where the backend is not enough it is not left open. */
  async #checkLargest(): Promise<void> {
    const { backend } = this.#common;
    try {
      checkLargest(this.limits, backend);
    } catch (error) {
      await backend.close();
      throw error;
    }
  }

  /** Sets the app's handlers for the rooms of one pattern. Throws a TypeError on an unknown pattern, or a second time. */
  on<P extends PatternOf<C>>(pattern: P, handlers: HandlersFor<C, P>): this {
    // The pattern gives the parameters that its handlers are typed by.
    this.#common.catalog.setHandlers(pattern, handlers as unknown as RoomHandlers);
    return this;
  }

  /**
   * A route for messages of the app's own: text, JSON and binary, without this package's protocol. `path` may have
   * parameters (`/chat/:room`); text is more specific than a parameter, and of equals the first declared wins. `handler`
   * runs for each connection until it ends. Throws on options that cannot work, or on a path that is taken.
   */
  endpoint<const P extends string>(path: P, handler: EndpointHandler<P, "any", false>): void;
  endpoint<
    const P extends string,
    R extends Receive = "any",
    const W extends Who = false,
    Params extends MaybeSchema = undefined,
    Query extends MaybeSchema = undefined,
  >(path: P, options: EndpointOptions<P, R, W, Params, Query>, handler: EndpointHandler<P, R, W, Params, Query>): void;
  endpoint(path: string, first: unknown, second?: unknown): void {
    const [options, handler] = second === undefined ? [{}, first] : [first, second];
    // The path and the options give the types that the handler is written against.
    this.#entrances.endpoint(path, options as AnyOptions, handler as AnyHandler);
  }

  /** Sockets of endpoints under one name, to send to together. Throws a TypeError on a name that P-20 does not allow. */
  group(name: string): Group {
    return new Group(this.#groups, name);
  }

  /** The names of the groups that have sockets on this node. */
  groups(): string[] {
    return this.#groups.names();
  }

  /**
   * Takes the paths of the socket (`/ws` and below) and of streams (`/sse`) on a node:http server, and leaves all else to
   * the server's own.
   */
  attach(server: Server): { detach(): void } {
    return this.#entrances.attach(server);
  }

  /** A server of its own: nothing but sockets and streams. `port` 0 or absent: any free one. */
  listen(at: { port?: number; host?: string } = {}): Promise<Listening> {
    return this.#entrances.listen(at);
  }

  /** A room, to publish into and to ask about. Any name that the contract has. */
  room<N extends RoomNameOf<C>>(name: N): RoomHandle<C, N> {
    return new RoomHandle(this.#common, name);
  }

  /** A user on all devices. */
  user(name: string): UserHandle<C> {
    if (!isName(name, maxUserBytes)) throw new TypeError("a user's name is 1 to 254 bytes of NFC, by P-13");
    return new UserHandle(this.#common, name, personalRoom(name));
  }

  /** A connection of this node by its id, where it speaks this package's protocol; undefined where it is gone. */
  connection(id: string): ConnectionHandle | undefined {
    const connection = this.#common.connections.get(id);
    if (connection instanceof RawConnection) return undefined;
    return connection === undefined || connection.closed
      ? undefined
      : new ConnectionHandle(connection, this.#common.clock);
  }

  /** Rooms that have members now, on all nodes, by name. `after` is the last name of the page before. */
  rooms(query: RoomsQuery = {}): Promise<RoomsPage> {
    return this.#common.operations.rooms(query);
  }

  /** What is open on this node. All are 0 when everyone has gone (and every grace is over). */
  counts(): { connections: number; rooms: number } {
    return { connections: this.#common.connections.size, rooms: this.#common.rooms.size };
  }

  /**
   * Who credentials belong to, by the hub's own ways: `auth`, tickets, and what was revoked. Answers at once where all of
   * these do. Throws or rejects where it cannot be told now.
   */
  authenticate(credentials: Credentials, request: RequestFacts): ReturnType<Identify> {
    return this.#identify(credentials, request);
  }

  /**
   * The hub's numbers in the text format of Prometheus (docs/metrics.md), for an app to serve: the content type is
   * `text/plain; version=0.0.4`. What it takes to write them is loaded at the first call.
   */
  async metrics(): Promise<string> {
    this.#metrics ??= import("./metrics/registry.ts").then(({ metricsReader }) =>
      metricsReader({
        counts: this.#common.counts,
        connections: this.#common.connections,
        rooms: this.#common.rooms,
        nodes: this.#nodes,
      }),
    );
    return (await this.#metrics)();
  }

  /** Whether the hub can serve: its backend answers and it is not closing. */
  async ready(): Promise<{ ready: boolean; reasons: string[] }> {
    if (this.#closing !== undefined) return { ready: false, reasons: ["draining"] };
    try {
      await this.start();
      await this.#common.backend.check();
      if (!this.#nodes.isWhole) return { ready: false, reasons: ["this node is cut off from the others"] };
      return { ready: true, reasons: [] };
    } catch {
      return { ready: false, reasons: ["the backend is unavailable"] };
    }
  }

  /**
   * Shuts down (P-53): no new connections; `drain` to each client; closes spread over `drainMs` (5,000 by default); then
   * the backend is closed, with all that was acknowledged in it. Until then calls without a connection are answered, and
   * those under way have 1.2 s more than `drainMs`. Servers given to `attach` are left to their owner.
   */
  close({ drainMs = defaultDrainMs }: { drainMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const answerBy = performance.now() + drainMs + lastAnswerMs;
    await this.#entrances.close(drainMs);
    await settledWithin(answerBy - performance.now(), this.calls.settled());
    // One that is still starting would go on after its end.
    await this.#started?.catch(() => undefined);
    // Before the rooms are closed, which here ends every grace.
    if (this.#isOpen) await this.#nodes.leave(this.limits.graceMs + spreadMs);
    this.#isOpen = false;
    this.#common.rooms.close();
    if (this.#started === undefined) return;
    await this.#started.then(
      () => this.#common.backend.close(),
      () => undefined,
    );
  }
}
