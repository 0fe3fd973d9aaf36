import {
  connect,
  createInbox,
  credsAuthenticator,
  type ConnectionOptions,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
} from "@nats-io/transport-node";
import { type BackendContext, BackendUnavailable, type Largest } from "../backend.ts";
import { within } from "../within.ts";
import { Listening } from "./listening.ts";
import type { NatsSettings } from "./options.ts";
import { tlsOf } from "./tls.ts";

/** The server's word on the largest payload counts the headers, which are shorter than this. */
const headerBytes = 2_048;
const longestDelayMs = 1_000;
/** A connection that answers nothing is given up after two of these without an answer, and made anew. */
const pingMs = 2_000;
const connectMs = 3_000;
const longestRequestMs = 1_500;
/**
 * A driver that neither dials nor has a connection over which the engine can be asked, for so long, is given up: another one
 * begins from nothing. Where the engine itself has no answer (a cluster without a leader), that costs little.
 */
const longestStandstillMs = 10_000;
/** How long `open` waits for a cluster that finds its leader, at least. */
const firstMs = 10_000;

/** What is told of the connection. */
export interface LinkEvents {
  /** Connected, first or again. Until it resolves calls wait; where it rejects it is called again. */
  readonly verify: () => Promise<void>;
  /** Broken; nothing arrives any more. */
  readonly lost: () => void;
  /** Verified after a break. */
  readonly restored: () => void;
  readonly log: BackendContext["log"];
  readonly malformed: BackendContext["malformed"] | undefined;
}

/** One connection to NATS that comes back by itself, for ever, and calls that wait for it no longer than they may. */
export class Link {
  readonly #settings: NatsSettings;
  readonly #events: LinkEvents;
  #connection: NatsConnection | undefined;
  /** Counts the breaks: what was verified on one connection says nothing of the next. */
  #generation = 0;
  #isReady = false;
  #isClosed = false;
  #attempts = 0;
  readonly #waiting = new Set<() => void>();
  readonly #listening: Listening;
  readonly #standstillMs: number;
  #standstill: NodeJS.Timeout | undefined;

  constructor(settings: NatsSettings, events: LinkEvents, standstillMs: number = longestStandstillMs) {
    this.#settings = settings;
    this.#events = events;
    this.#listening = new Listening(events);
    this.#standstillMs = standstillMs;
  }

  get waitMs(): number {
    return this.#settings.waitMs;
  }

  /** How long one request waits for its answer; a call is worth several. */
  get requestMs(): number {
    return Math.min(this.#settings.waitMs / 4, longestRequestMs);
  }

  /** Whether the engine can be asked now. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** The largest payload that the server takes. */
  get maxPayloadBytes(): number {
    return this.#connection?.info?.max_payload ?? 1_048_576;
  }

  /** Of it, what is left for a text beside our own headers. */
  get largest(): Largest {
    return { bytes: this.maxPayloadBytes - headerBytes, remedy: "raise max_payload of nats-server" };
  }

  /** Rejects where there is no server, with what to do. */
  async open(): Promise<void> {
    const names = this.#settings.servers.join(", ");
    try {
      this.#use(await connect(this.#options()));
    } catch (error) {
      throw new Error(`NATS at ${names} cannot be reached (${messageOf(error)}): start nats-server, or give its URL`, {
        cause: error,
      });
    }
    try {
      await this.#firstVerified(performance.now() + Math.max(this.waitMs, firstMs));
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#open();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#isReady = false;
    clearTimeout(this.#standstill);
    for (const wake of this.#waiting) wake();
    await this.#connection?.close();
  }

  /** Resolves when the engine can be asked; rejects with `BackendUnavailable` at the deadline. */
  async ready(deadline: number): Promise<void> {
    while (!this.#isReady) {
      const left = deadline - performance.now();
      if (this.#isClosed) throw new BackendUnavailable("the nats backend is not open");
      if (left <= 0) throw new BackendUnavailable("there is no connection to NATS");
      await this.#wake(left);
    }
  }

  /** One answer. Rejects with `BackendUnavailable`: `NoResponders` where nobody there would answer. */
  async request(
    subject: string,
    payload: string,
    { headers, withinMs = this.requestMs }: { headers?: MsgHdrs; withinMs?: number } = {},
  ): Promise<Msg> {
    const connection = this.#connection;
    if (connection === undefined || this.#isClosed) throw new BackendUnavailable("the nats backend is not open");
    try {
      const options = { timeout: withinMs, ...(headers !== undefined && { headers }) };
      return await connection.request(subject, payload, options);
    } catch (error) {
      if (error instanceof Error && "isNoResponders" in error) {
        const { isNoResponders } = error as Error & { isNoResponders: () => boolean };
        if (isNoResponders.call(error)) throw new NoResponders(`nobody answers on ${subject}`);
      }
      throw new BackendUnavailable(`NATS did not answer: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Hands over all answers that come, until none came for a while, or at once where nobody is there to answer. */
  async collect(
    subject: string,
    { withinMs, quietMs }: { withinMs: number; quietMs: number },
    hear: (message: Msg) => void,
  ): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || this.#isClosed) throw new BackendUnavailable("the nats backend is not open");
    const inbox = createInbox();
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(quiet);
        clearTimeout(late);
        stop();
        resolve();
      };
      const late = setTimeout(done, withinMs);
      let quiet = setTimeout(done, withinMs);
      const stop = this.subscribe(inbox, (message) => {
        if (message.headers?.code === 503) return done();
        hear(message);
        clearTimeout(quiet);
        quiet = setTimeout(done, quietMs);
      });
      connection.publish(subject, "", { reply: inbox });
    });
  }

  /** Rejects where there is no connection: nothing is kept back for later. */
  publish(subject: string, payload: string): void {
    if (this.#connection === undefined || !this.#isReady)
      throw new BackendUnavailable("there is no connection to NATS");
    this.#connection.publish(subject, payload);
  }

  /** Until the function that it gives back is called; over all breaks. */
  subscribe(subject: string, hear: (message: Msg) => void): () => void {
    if (this.#isClosed) throw new BackendUnavailable("the nats backend is not open");
    return this.#listening.subscribe(subject, hear);
  }

  /** Resolves when the server has read all that was sent so far. */
  async flush(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || this.#isClosed) throw new BackendUnavailable("the nats backend is not open");
    try {
      await within(this.waitMs, connection.flush(), () => new Error("timeout"));
    } catch (error) {
      throw new BackendUnavailable(`NATS did not answer: ${messageOf(error)}`, { cause: error });
    }
  }

  /** A cluster that has just been started has no leader yet. */
  async #firstVerified(deadline: number): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#events.verify();
        return;
      } catch (error) {
        if (!(error instanceof BackendUnavailable) || error instanceof JetStreamOff) throw error;
        if (performance.now() > deadline) throw error;
      }
      await pause(attempt);
    }
  }

  #options(): ConnectionOptions {
    const { servers, user, password, token, credentials, isTls } = this.#settings;
    return {
      servers: [...servers],
      name: "fanfare",
      // What this node relays it tells its own listeners itself; so "nobody else is there" can be told, too.
      noEcho: true,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => this.#delayMs(),
      pingInterval: pingMs,
      maxPingOut: 2,
      timeout: connectMs,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(token !== undefined && { token }),
      ...(credentials !== undefined && { authenticator: credsAuthenticator(new TextEncoder().encode(credentials)) }),
      ...(isTls && { tls: tlsOf(this.#settings) }),
    };
  }

  #delayMs(): number {
    const most = Math.min(longestDelayMs, 50 * 2 ** this.#attempts++);
    return most / 2 + (Math.random() * most) / 2;
  }

  #use(connection: NatsConnection): void {
    this.#connection = connection;
    void this.#follow(connection);
    try {
      this.#listening.use(connection);
    } catch {
      // Closed again already, which the one that follows it sees.
    }
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (connection !== this.#connection) return;
      if (type === "disconnect") this.#broke();
      else if (type === "reconnecting") this.#watch();
      else if (type === "reconnect") void this.#verified();
    }
    // The driver closed it for good, which it should not.
    if (connection === this.#connection && !this.#isClosed) {
      this.#broke();
      void this.#renew();
    }
  }

  #broke(): void {
    this.#generation++;
    if (this.#isReady) this.#events.log("warn", "the connection to NATS is broken; it is being made anew");
    this.#isReady = false;
    this.#watch();
    this.#events.lost();
  }

  #watch(): void {
    if (this.#isReady) return;
    clearTimeout(this.#standstill);
    this.#standstill = setTimeout(() => void this.#renew(), this.#standstillMs).unref();
  }

  async #renew(): Promise<void> {
    clearTimeout(this.#standstill);
    const last = this.#connection;
    // A renewal is under way.
    if (last === undefined) return;
    this.#connection = undefined;
    this.#listening.use(undefined);
    this.#generation++;
    last.close().catch(() => undefined);
    const next = await this.#connected();
    if (this.#isClosed || next === undefined) return void next?.close().catch(() => undefined);
    this.#use(next);
    this.#watch();
    await this.#verified();
  }

  /** Tries for as long as this is open. */
  async #connected(): Promise<NatsConnection | undefined> {
    for (let attempt = 0; !this.#isClosed; attempt++) {
      const connection = await connect(this.#options()).catch(() => undefined);
      if (connection !== undefined) return connection;
      await pause(attempt);
    }
    return undefined;
  }

  async #verified(): Promise<void> {
    this.#attempts = 0;
    const generation = this.#generation;
    for (let attempt = 0; generation === this.#generation && !this.#isClosed; attempt++) {
      try {
        await this.#events.verify();
        if (generation !== this.#generation || this.#isClosed) return;
        this.#events.log("info", "the connection to NATS is there again");
        this.#open();
        this.#events.restored();
        return;
      } catch {
        // A cluster without a leader, or broken again.
        await pause(attempt);
      }
    }
  }

  #open(): void {
    this.#isReady = true;
    clearTimeout(this.#standstill);
    for (const wake of this.#waiting) wake();
  }

  #wake(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      this.#waiting.add(done);
    });
  }
}

/** Nobody listens there: no JetStream, no leader, or no such stream. */
export class NoResponders extends BackendUnavailable {}

/** There are servers, and none of them has JetStream. */
export class JetStreamOff extends NoResponders {}

function pause(attempt: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(longestDelayMs, 50 * 2 ** attempt)));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
