/* oxlint-disable typescript/require-await -- async makes of what is thrown the rejection that the contract asks for */
import type { Msg } from "@nats-io/transport-node";
import {
  type Appended,
  type Backend,
  type BackendContext,
  type BackendPromises,
  BackendUnavailable,
  type Found,
  type KeyFacts,
  type KeyRef,
  type Largest,
  type LogEntry,
  type NewEntry,
  type RoomListener,
  type RoomRef,
  type Subscription,
} from "../backend.ts";
import type { FeedEngine, FeedState, FeedView, Position } from "../feed/engine.ts";
import { Feeds } from "../feed/feeds.ts";
import { Api } from "./api.ts";
import { Appends } from "./appends.ts";
import { Bus } from "./bus.ts";
import { EngineClock } from "./clock.ts";
import { type Engine, untilDone } from "./engine.ts";
import { Life } from "./life.ts";
import { KnownRooms } from "./known-rooms.ts";
import { Link } from "./link.ts";
import { Logs } from "./logs.ts";
import { epochOf, Names } from "./names.ts";
import type { NatsSettings } from "./options.ts";
import { Pages } from "./pages.ts";
import { decodePayload, idName, readStamp, toEntry } from "./record.ts";
import { Probe } from "./probe.ts";
import { Records } from "./records.ts";
import { Streams } from "./streams.ts";
import { Tops } from "./tops.ts";

/** Rooms whose heads are asked for at a time. */
const mostRequests = 128;

/** What exists while the backend is open. */
interface Open {
  readonly engine: Engine;
  readonly rooms: KnownRooms;
  readonly logs: Logs;
  readonly pages: Pages;
  readonly appends: Appends;
  readonly facts: Records;
  readonly feeds: Feeds;
  readonly bus: Bus;
  readonly probe: Probe;
}

/** Logs in JetStream. `docs/nats.md` has the argument for its numbers and order. */
export class JetStreamBackend implements Backend {
  readonly name = "nats";
  readonly promises: BackendPromises;
  readonly #settings: NatsSettings;
  #open: Open | undefined;
  #isClosing = false;

  constructor(settings: NatsSettings) {
    this.#settings = settings;
    const isFile = settings.storage === "file";
    const survives = settings.replicas > 1 ? "machine" : isFile ? "process" : "nothing";
    this.promises = { survives, shared: true, log: true };
  }

  get largest(): Largest {
    return this.#opened().engine.link.largest;
  }

  async open(context: BackendContext): Promise<void> {
    const names = new Names(this.#settings.prefix);
    const link: Link = new Link(this.#settings, {
      verify: async () => void (await life.verify()),
      lost: () => feeds.lost(),
      restored: () => void feeds.restored(),
      log: context.log,
      malformed: context.malformed,
    });
    const api = new Api(link);
    const streams = new Streams(api, names, this.#settings);
    const clock = new EngineClock(api, names, context);
    const life = new Life({ api, names, streams, clock, context });
    const engine: Engine = { link, api, names, streams, life, clock, context };
    const rooms = new KnownRooms(clock, (room) => feeds.get(room) !== undefined);
    const tops = new Tops(engine, rooms);
    const pages = new Pages(engine, rooms, tops);
    const logs = new Logs({ engine, rooms, tops, pages });
    const bus: Bus = new Bus(engine.link, names, {
      message: (room, message) => this.#pushed(room, message),
      relayed: (room, text) => feeds.relayed(room, text),
    });
    const feeds: Feeds = new Feeds(feedEngine({ engine, logs, pages, bus }), context);
    const appends = new Appends({ engine, logs, tops, keys: new Records(engine, false) });
    try {
      await link.open();
      link.subscribe(names.liveLife, (message) => life.pushed(message.string()));
      const probe = new Probe(engine);
      this.#open = { engine, rooms, logs, pages, appends, facts: new Records(engine, true), feeds, bus, probe };
    } catch (error) {
      feeds.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    if (open === undefined || this.#isClosing) return;
    this.#isClosing = true;
    await open.appends.drained();
    this.#open = undefined;
    open.feeds.close();
    await open.engine.link.close();
  }

  async check(): Promise<void> {
    await this.#opened().probe.run();
  }

  async find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    return this.#opened().appends.find(room, key);
  }

  async append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended> {
    return this.#opened().appends.append(room, entry, key);
  }

  async state(room: RoomRef): Promise<FeedState> {
    const { engine, logs } = this.#opened();
    const { epoch, head, trimmed } = await untilDone(engine, () => logs.state(room));
    return { epoch, head, trimmed };
  }

  async read(room: RoomRef, after: number, limit: number, epoch?: string): Promise<LogEntry[]> {
    const { engine, pages } = this.#opened();
    return untilDone(engine, () => pages.after(room, after, limit, epoch));
  }

  async readBack(room: RoomRef, before: number | undefined, limit: number, epoch?: string): Promise<LogEntry[]> {
    const { engine, pages } = this.#opened();
    return untilDone(engine, () => pages.before(room, before ?? Number.MAX_SAFE_INTEGER, limit, epoch));
  }

  async count(room: RoomRef, after: number, head: number, epoch: string): Promise<number> {
    const { engine, pages } = this.#opened();
    return untilDone(engine, () => pages.count(room, after, head, epoch));
  }

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    return this.#opened().feeds.subscribe(room, listener);
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    const { feeds, bus } = this.#opened();
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

  #opened(): Open {
    if (this.#open === undefined || this.#isClosing) throw new BackendUnavailable("the nats backend is not open");
    return this.#open;
  }

  /** A message that the stream sent on: from its leader, once it is kept. */
  #pushed(room: string, message: Msg): void {
    const open = this.#open;
    const stamp = readStamp(message.headers);
    const seq = Number(message.headers?.get("Nats-Sequence"));
    const last = Number(message.headers?.get("Nats-Last-Sequence"));
    if (open === undefined) return;
    if (stamp === undefined || !Number.isSafeInteger(seq) || !Number.isSafeInteger(last)) {
      open.engine.context.malformed?.();
      return;
    }
    open.engine.life.saw(seq, message.headers?.get(idName), stamp.streamLife);
    const prev = open.rooms.pushed(room, { seq, stamp, last });
    if (stamp.kind === "mark") return;
    const entry = toEntry(seq, prev, stamp.at, decodePayload(message.string()));
    open.feeds.push(room, entry, epochOf(stamp.streamLife, stamp.life));
  }
}

function feedEngine({ engine, logs, pages, bus }: Pick<Open, "engine" | "logs" | "pages" | "bus">): FeedEngine {
  const position = async ({ room }: FeedView): Promise<Position | undefined> => {
    try {
      return await logs.head(room);
    } catch (error) {
      if (error instanceof BackendUnavailable) return undefined;
      throw error;
    }
  };
  return {
    hasLog: ({ keep }) => keep.messages > 0,
    attach: (room) => untilDone(engine, () => bus.attach(room.name)),
    detach: (room) => bus.detach(room.name),
    state: (room, known) => untilDone(engine, () => logs.state(room, known, known !== undefined)),
    read: (room, after, limit, epoch) => untilDone(engine, () => pages.after(room, after, limit, epoch)),
    async heads(feeds) {
      await engine.link.ready(performance.now());
      await engine.life.verify();
      const heads: (Position | undefined)[] = [];
      for (let from = 0; from < feeds.length; from += mostRequests) {
        heads.push(...(await Promise.all(feeds.slice(from, from + mostRequests).map(position))));
      }
      return heads;
    },
    others: (room) => untilDone(engine, () => bus.others(room.name)),
  };
}
