import type { IncomingMessage, ServerResponse } from "node:http";
import { BackendUnavailable } from "../../backends/backend.ts";
import type { ErrorCode } from "../../protocol/codes.ts";
import { encodeFrame } from "../../protocol/encode.ts";
import type { CheckCredentials } from "../admission.ts";
import { anonymousIdentity } from "../auth/anonymous.ts";
import { findCredentials } from "../auth/credentials.ts";
import type { Credentials, Identity, RequestFacts } from "../auth/identity.ts";
import { originAllowed } from "../auth/origin.ts";
import { turnedAway, type Capacity } from "../capacity.ts";
import type { Clock } from "../clock.ts";
import type { HubOptions } from "../options.ts";
import type { AddressOf } from "../proxies.ts";
import type { RateLimits } from "../rate-limits.ts";
import { Refused } from "../refused.ts";
import type { Prepared } from "../joins.ts";
import { traced } from "../traced.ts";
import type { Tracing } from "../tracing.ts";
import { pathOf } from "../target.ts";
import { Welcome } from "../welcome.ts";
import { allowOrigin, answerPreflight, Denied, deniedFor, isPreflight, sendDenied } from "./answer.ts";
import { Pulse } from "./pulse.ts";
import { readAsked, type Asked } from "./request.ts";
import { backoffMs, spread, waitMs } from "./retry.ts";
import { Stream, type StreamContext } from "./stream.ts";

const defaultPath = "/sse";

export interface StreamDoorContext extends Capacity {
  readonly options: Pick<HubOptions, "ssePath" | "origins" | "cookie" | "anonymous" | "anonymousRooms">;
  readonly check: CheckCredentials;
  readonly tracing: Tracing | undefined;
  /** Whether the credentials were revoked while they were checked. */
  readonly overtaken: (identity: Identity) => boolean;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly clock: Clock;
  readonly stream: Omit<StreamContext, "ended">;
  readonly newId: () => string;
  readonly addressOf: AddressOf;
  readonly rates: RateLimits;
  /** The status of a request that gets no stream, or that it would have were it not for P-73. */
  readonly refused: (status: number) => void;
  readonly opened: (stream: Stream) => void;
  readonly ended: StreamContext["ended"];
}

/** What stands before a stream: who asks, for what, and all that can be refused (P-70, P-73). */
export class StreamDoor {
  readonly #context: StreamDoorContext;
  readonly #streams: Set<Stream> = new Set();
  readonly #pulse: Pulse;
  readonly #welcome: Welcome;
  readonly #stream: StreamContext;

  constructor(context: StreamDoorContext) {
    this.#context = context;
    this.#pulse = new Pulse(context.clock, this.#streams, (stream) => {
      this.#refuse(stream, "unavailable", "credentials cannot be checked", backoffMs);
    });
    this.#welcome = new Welcome(context.limits, context.clock.now);
    this.#stream = {
      ...context.stream,
      ended: (stream, code) => {
        this.#streams.delete(stream);
        context.ended(stream, code);
      },
    };
  }

  owns(request: IncomingMessage): boolean {
    const { ssePath = defaultPath } = this.#context.options;
    return pathOf(request) === ssePath;
  }

  /** Takes the request over. Never throws. Where the hub is not ready, that is told as what passes by itself. */
  serve(request: IncomingMessage, response: ServerResponse, isReady: boolean): void {
    // A peer that resets must not end the process; a body, which no such request has, is read past.
    response.on("error", ignore);
    request.on("error", ignore).resume();
    try {
      this.#checkRequest(request, response);
      if (isPreflight(request)) answerPreflight(response);
      else this.#open(request, response, isReady);
    } catch (error) {
      this.#deny(response, error instanceof Denied ? error : new Denied(500, "internal", "something went wrong here"));
    }
  }

  stop(): void {
    this.#pulse.stop();
  }

  #checkRequest(request: IncomingMessage, response: ServerResponse): void {
    const { origins } = this.#context.options;
    if (!originAllowed(request, origins)) throw new Denied(403, "forbidden", "this origin is not allowed");
    allowOrigin(request, response, origins);
    if (request.method !== "GET" && !isPreflight(request)) {
      throw new Denied(405, "method_not_allowed", "a stream is opened with GET", { allow: "GET" });
    }
    // Events go straight to the socket, which still belongs to an answer before this one.
    if (response.socket !== request.socket) {
      throw new Denied(400, "bad_field", "a stream cannot be pipelined behind another request");
    }
  }

  #open(request: IncomingMessage, response: ServerResponse, isReady: boolean): void {
    const { connections, limits, clock, newId, opened } = this.#context;
    const address = this.#context.addressOf(request);
    const asked = readAsked(request, address, limits.rooms);
    const { socket } = request;
    socket.setTimeout(0);
    socket.setNoDelay(true);
    const reason = isReady ? turnedAway(this.#context, address) : "notReady";
    const waitMs = reason === undefined ? this.#context.rates.connect(address) : 0;
    const stream = new Stream(this.#stream, response, { id: newId(), address, socket, cursors: asked.cursors });
    if (reason !== undefined) {
      const [code, message] = turnedAwayAs[reason];
      this.#refuse(stream, code, message, backoffMs);
      return;
    }
    if (waitMs > 0) {
      this.#refuse(stream, "rate_limited", "too many connects from this address", Math.max(waitMs, backoffMs));
      return;
    }
    connections.add(stream);
    this.#streams.add(stream);
    stream.checkBy = clock.monotonic() + limits.authWithinMs;
    this.#pulse.wake();
    opened(stream);
    const facts = { "fanfare.connection": stream.id, "fanfare.transport": "sse" };
    const admit = (): Promise<void> => this.#admit(stream, request, response, asked);
    void traced(this.#context.tracing, "fanfare.connect", () => facts, admit);
  }

  async #admit(stream: Stream, request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> {
    try {
      const identity = await this.#identify(stream, request, asked.facts);
      if (stream.closed) return;
      stream.checkBy = undefined;
      this.#take(stream, identity);
      const prepared = await this.#prepare(stream, asked);
      // No await from here on: the stream is in all of its rooms, or it is in none.
      if (!stream.closed) stream.open(this.#welcome.text(stream.id, identity));
      for (const join of prepared) join.enter();
      for (const join of prepared) join.release();
    } catch (error) {
      this.#fail(stream, response, error);
    }
  }

  async #identify(stream: Stream, request: IncomingMessage, facts: RequestFacts): Promise<Identity> {
    const { randomBytes, options } = this.#context;
    const { cookie, origins, anonymous = false, anonymousRooms } = options;
    const credentials = findCredentials(request, facts.query, { cookie, origins });
    if (credentials === undefined) {
      const identity = anonymous ? anonymousIdentity(facts.query, anonymousRooms, randomBytes) : undefined;
      if (identity === undefined) throw unauthorized("credentials are missing");
      return identity;
    }
    const identity = await this.#check(stream, credentials, facts);
    if (identity === undefined) throw unauthorized("bad credentials");
    return identity;
  }

  async #check(stream: Stream, credentials: Credentials, facts: RequestFacts): Promise<Identity | undefined> {
    try {
      return await this.#context.check(credentials, facts);
    } catch (error) {
      this.#stream.logger.error({ connection: stream.id, err: error }, "credentials cannot be checked");
      throw new Refused("unavailable", "try again later");
    }
  }

  #take(stream: Stream, identity: Identity): void {
    const { connections, limits, rates, overtaken } = this.#context;
    if (overtaken(identity)) throw unauthorized("bad credentials");
    const requestMs = rates.request({ user: identity.user, address: stream.address }, 1);
    if (requestMs > 0) {
      throw new Refused("rate_limited", "too many requests", { retryAfterMs: Math.max(requestMs, backoffMs) });
    }
    if (connections.countOfUser(identity.user) >= limits.connectionsPerUser) {
      throw new Refused("rate_limited", "too many connections of this user", { retryAfterMs: waitMs });
    }
    stream.identity = identity;
    connections.setUser(stream);
  }

  /** Every room, or the refusal of one: rights in all of them first, so that no handler of the app runs in vain. */
  async #prepare(stream: Stream, { rooms, cursors }: Asked): Promise<Prepared[]> {
    const { requests } = this.#stream;
    const joins = await settled(
      rooms.map(async (room) => {
        const join = { ...plainJoin, room, since: cursors.of(room) };
        return { join, access: await requests.joins.joinAccess(stream, join) };
      }),
    );
    refuseIfAny(joins.faults);
    const prepared = await settled(
      joins.values.map(({ join, access }) => requests.joins.prepare(stream, join, access)),
    );
    if (prepared.faults.length > 0) {
      for (const join of prepared.values) join.release();
      refuseIfAny(prepared.faults);
    }
    return prepared.values;
  }

  #fail(stream: Stream, response: ServerResponse, error: unknown): void {
    const denied = error instanceof Denied ? error : error instanceof Refused ? deniedFor(error) : undefined;
    if (stream.closed) return;
    if (denied !== undefined) {
      stream.giveUp();
      this.#deny(response, denied);
    } else if (error instanceof Refused) {
      this.#refuse(stream, error.code, error.message, error.retryAfterMs ?? backoffMs);
    } else if (error instanceof BackendUnavailable) {
      this.#stream.logger.warn({ connection: stream.id, err: error }, "the backend is unavailable");
      this.#refuse(stream, "unavailable", "try again later", backoffMs);
    } else {
      this.#stream.counts.handlerErrors++;
      this.#stream.logger.error({ connection: stream.id, request: "join", err: error }, "a handler failed");
      this.#refuse(stream, "internal", "the request failed", backoffMs);
    }
  }

  #deny(response: ServerResponse, denied: Denied): void {
    this.#context.refused(denied.status);
    sendDenied(response, denied);
  }

  #refuse(stream: Stream, code: ErrorCode, message: string, leastMs: number): void {
    if (!stream.closed) this.#context.refused(passingStatus[code] ?? 500);
    const retryMs = spread(leastMs, this.#stream.random);
    stream.refuse(encodeFrame({ type: "error", code, message, retry_after_ms: retryMs }), retryMs);
  }
}

const turnedAwayAs = {
  notReady: ["unavailable", "not ready"],
  draining: ["unavailable", "going away"],
  full: ["unavailable", "full"],
  address: ["rate_limited", "too many connections from this address"],
} as const;

/** What a refusal would be, were it told by a status. */
const passingStatus: Partial<Record<ErrorCode, number>> = { rate_limited: 429, unavailable: 503 };

const plainJoin = { type: "join", id: undefined, history: undefined, presence: undefined, data: undefined } as const;

function unauthorized(message: string): Denied {
  return new Denied(401, "unauthorized", message, { "www-authenticate": "Bearer" });
}

async function settled<T>(promises: readonly Promise<T>[]): Promise<{ values: T[]; faults: unknown[] }> {
  const values: T[] = [];
  const faults: unknown[] = [];
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === "fulfilled") values.push(result.value);
    else faults.push(result.reason);
  }
  return { values, faults };
}

/** A refusal for good goes before one that passes by itself: coming back would not help. */
function refuseIfAny(faults: readonly unknown[]): void {
  const final = faults.find((fault) => fault instanceof Refused && deniedFor(fault) !== undefined);
  if (faults.length > 0) throw final ?? faults[0];
}

function ignore(): void {}
