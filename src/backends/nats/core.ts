/* oxlint-disable typescript/require-await -- async makes of what is thrown the rejection that the contract asks for */
import {
  type Appended,
  type Backend,
  type BackendContext,
  type BackendPromises,
  BackendUnavailable,
  type Found,
  type Largest,
  type LogEntry,
  type LogState,
  type RoomListener,
  type RoomRef,
  type Subscription,
} from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { FeedEngine } from "../feed/engine.ts";
import { Feeds } from "../feed/feeds.ts";
import { Bus } from "./bus.ts";
import { Link, NoResponders } from "./link.ts";
import { Names } from "./names.ts";
import type { NatsSettings } from "./options.ts";
import { SharedFacts } from "./shared-facts.ts";

interface Open {
  readonly link: Link;
  readonly names: Names;
  readonly bus: Bus;
  readonly feeds: Feeds;
  readonly facts: SharedFacts;
}

/** Core NATS: what is published reaches who listens at that moment, at most once, and nothing is kept. */
export class CoreBackend implements Backend {
  readonly name = "nats+core";
  readonly promises: BackendPromises = { survives: "nothing", shared: true, log: false };
  readonly #settings: NatsSettings;
  #open: Open | undefined;

  constructor(settings: NatsSettings) {
    this.#settings = settings;
  }

  get largest(): Largest {
    return this.#opened().link.largest;
  }

  async open(context: BackendContext): Promise<void> {
    const names = new Names(this.#settings.prefix);
    const link: Link = new Link(this.#settings, {
      verify: () => link.flush(),
      lost: () => feeds.lost(),
      restored: () => void this.#restored(),
      log: context.log,
      malformed: context.malformed,
    });
    const facts = new SharedFacts(link, names, context);
    const bus: Bus = new Bus(link, names, {
      message: () => undefined,
      relayed: (room, text) => feeds.relayed(room, text),
    });
    const feeds: Feeds = new Feeds(withoutLog(bus), context);
    try {
      await link.open();
      await facts.open();
      this.#open = { link, names, bus, feeds, facts };
      context.log(
        "info",
        "core NATS keeps nothing: rooms have no log, and a message reaches who is there, at most once",
      );
    } catch (error) {
      feeds.close();
      facts.close();
      await link.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.feeds.close();
    open.facts.close();
    await open.link.close();
  }

  /** The server answers that nobody listens there: what is sent to it comes through, and what it sends comes back. */
  async check(): Promise<void> {
    const { link, names } = this.#opened();
    if (!link.isReady) throw new BackendUnavailable("there is no connection to NATS");
    try {
      await link.request(names.ofNodes(`probe.${newEpoch()}`), "");
    } catch (error) {
      if (!(error instanceof NoResponders)) throw error;
    }
  }

  find(): Promise<Found | undefined> {
    return Promise.reject(noLog());
  }

  append(): Promise<Appended> {
    return Promise.reject(noLog());
  }

  state(): Promise<LogState> {
    return Promise.reject(noLog());
  }

  read(): Promise<LogEntry[]> {
    return Promise.reject(noLog());
  }

  readBack(): Promise<LogEntry[]> {
    return Promise.reject(noLog());
  }

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#opened().feeds.subscribe(room, listener);
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    const { bus, feeds } = this.#opened();
    bus.relay(room.name, text);
    feeds.relayed(room.name, text);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#opened().facts.set(key, value, ttlMs);
  }

  async get(key: string): Promise<string | undefined> {
    return this.#opened().facts.get(key);
  }

  async take(key: string): Promise<string | undefined> {
    return this.#opened().facts.take(key);
  }

  /** What was said meanwhile is asked for, before anybody relies on being told again. */
  async #restored(): Promise<void> {
    await this.#open?.facts.catchUp().catch(() => undefined);
    await this.#open?.feeds.restored();
  }

  #opened(): Open {
    if (this.#open === undefined) throw new BackendUnavailable("the nats backend is not open");
    return this.#open;
  }
}

function withoutLog(bus: Bus): FeedEngine {
  return {
    hasLog: () => false,
    attach: (room) => bus.attach(room.name),
    detach: (room) => bus.detach(room.name),
    state: () => Promise.reject(noLog()),
    read: () => Promise.reject(noLog()),
    heads: () => Promise.resolve([]),
    others: (room) => bus.others(room.name),
  };
}

/** A fault of ours: the hub never asks for it. */
function noLog(): Error {
  return new Error("core NATS keeps no log");
}
