import {
  type BackendContext,
  BackendUnavailable,
  type LogEntry,
  type RoomListener,
  type RoomRef,
  type Subscription,
} from "../backend.ts";
import type { Told } from "../listeners.ts";
import { within } from "../within.ts";
import type { FeedEngine } from "./engine.ts";
import { Feed } from "./feed.ts";
import { Gate } from "./gate.ts";

export interface FeedsOptions extends Told {
  /** See `BackendContext.missed`. */
  readonly missed?: BackendContext["missed"];
  /** How often the heads of all rooms are compared with the log; a last message that got lost is found by it. */
  readonly checkMs?: number;
  /** How long a room that nobody listens to any more stays attached, so that a quick rejoin does not flap. */
  readonly lingerMs?: number;
}

const defaultCheckMs = 4_000;
const defaultLingerMs = 5_000;
/** What is on its way is no loss: a room counts as behind only where it still is after this. */
const inFlightMs = 250;
/** Rooms that are read at a time after an outage: each has a page in memory. */
const mostRepairs = 16;

/** How long what was missed is held back for `missed`. */
const longestHoldMs = 5_000;

interface Place {
  readonly feed: Feed;
  readonly attached: Promise<void>;
  /** Subscriptions, and those under way. */
  uses: number;
  dropping: NodeJS.Timeout | undefined;
  /** Takes off the one who hears texts while the room lingers. */
  unlisten: (() => void) | undefined;
}

/**
 * All rooms that this node listens to: each attached to the engine once, however many listeners it has, and detached
 * some seconds after the last one left. See `engine.ts` for how a driver uses it.
 */
export class Feeds {
  readonly #engine: FeedEngine;
  readonly #told: Told;
  readonly #lingerMs: number;
  readonly #places = new Map<string, Place>();
  readonly #timer: NodeJS.Timeout;
  readonly #missed: BackendContext["missed"];
  readonly #gate: Gate = new Gate();
  #checking: Promise<void> | undefined;
  #losses = 0;
  #isClosed = false;

  constructor(engine: FeedEngine, options: FeedsOptions) {
    const { missed, checkMs = defaultCheckMs, lingerMs = defaultLingerMs } = options;
    this.#engine = engine;
    this.#told = options;
    this.#missed = missed;
    this.#lingerMs = lingerMs;
    this.#timer = setInterval(() => void this.check(), checkMs).unref();
  }

  /** The rooms that are attached, or about to be. */
  names(): string[] {
    return [...this.#places.keys()];
  }

  /** One room, where this node listens to it. */
  get(name: string): Feed | undefined {
    return this.#places.get(name)?.feed;
  }

  async subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription> {
    const place = this.#place(room);
    place.uses++;
    try {
      await place.attached;
      const { feed } = place;
      const hasLog = this.#engine.hasLog(room);
      const state = hasLog ? await feed.sync() : unkept;
      // From here on without an await: the listener's first message is the one right after the position.
      const { epoch, offset } = feed.position ?? { epoch: state.epoch, offset: state.head };
      const remove = feed.listeners.add(listener);
      place.unlisten?.();
      place.unlisten = undefined;
      return {
        state: { epoch, head: offset, trimmed: state.trimmed },
        sync: () => (hasLog ? feed.sync() : Promise.resolve(unkept)),
        others: () => this.#engine.others(room),
        close: once((relayed?: (text: string) => void) => {
          remove();
          this.#release(room.name, place);
          if (place.uses === 0 && relayed !== undefined) {
            place.unlisten = feed.listeners.add({ appended: () => undefined, relayed });
          }
        }),
      };
    } catch (error) {
      this.#release(room.name, place);
      throw error;
    }
  }

  push(name: string, entry: LogEntry, epoch: string): void {
    this.#places.get(name)?.feed.push(entry, epoch);
  }

  relayed(name: string, text: string): void {
    this.#places.get(name)?.feed.relayed(text);
  }

  /** Compares all rooms with the log and repairs what is behind. One at a time; an engine that is away is no error. */
  check(): Promise<void> {
    // What is behind now is looked at when it is restored.
    if (this.#gate.isClosed) return Promise.resolve();
    this.#checking ??= this.#check(inFlightMs).finally(() => (this.#checking = undefined));
    return this.#checking;
  }

  /** Called when pushes do not arrive any more: until `restored` nothing is told, whatever arrives. */
  lost(): void {
    this.#losses++;
    if (!this.#isClosed) this.#gate.close();
  }

  /**
   * Called when pushes arrive again after they did not: tells first what was missed, then that something may have been.
   * Call it only when all of `names()` are attached again, after each `lost`.
   */
  async restored(): Promise<void> {
    const losses = this.#losses;
    await this.#seeToMissed();
    // Lost again: what others said since then is for the next call to see to.
    if (losses !== this.#losses) return;
    this.#gate.open();
    for (const { feed } of this.#places.values()) {
      // What was lost of a room without a log is told at its place: before what came since.
      if (!this.#engine.hasLog(feed.room)) feed.interrupted();
      feed.released();
    }
    await this.#checking;
    await this.#check(0);
    for (const { feed } of this.#places.values()) if (this.#engine.hasLog(feed.room)) feed.interrupted();
  }

  /** Others may have said what must not be delivered any more; what cannot be seen to in time is told of all the same. */
  async #seeToMissed(): Promise<void> {
    if (this.#missed === undefined || this.#isClosed) return;
    try {
      await within(longestHoldMs, this.#missed(), () => new Error(`not within ${longestHoldMs} ms`));
    } catch (error) {
      this.#told.log("warn", `what other nodes said meanwhile could not be seen to: ${String(error)}`);
    }
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#gate.open();
    for (const { feed, dropping } of this.#places.values()) {
      clearTimeout(dropping);
      feed.close();
    }
    this.#places.clear();
  }

  async #check(graceMs: number): Promise<void> {
    try {
      let behind = await this.#findBehind([...this.#places.values()].map(({ feed }) => feed));
      if (behind.length > 0 && graceMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, graceMs).unref());
        // Those that moved meanwhile are told live, and looked at again by the next check.
        behind = behind.filter(({ feed, at }) => feed.position === at);
        // Pushes got lost, and with them perhaps what other nodes said.
        if (behind.length > 0) await this.#seeToMissed();
      }
      const repairs = behind[Symbol.iterator]();
      await Promise.all(Array.from({ length: mostRepairs }, () => repairAll(repairs)));
    } catch (error) {
      // The driver tells of an engine that is away.
      if (error instanceof BackendUnavailable) return;
      this.#told.log("error", `the heads of rooms could not be compared with the log: ${String(error)}`);
    }
  }

  async #findBehind(all: readonly Feed[]): Promise<{ feed: Feed; at: Feed["position"] }[]> {
    const feeds = all.filter((feed) => feed.position !== undefined && this.#engine.hasLog(feed.room));
    if (feeds.length === 0 || this.#isClosed) return [];
    const heads = await this.#engine.heads(feeds);
    return feeds
      .filter((feed, index) => {
        const head = heads[index];
        return head !== undefined && feed.isBehind(head);
      })
      .map((feed) => ({ feed, at: feed.position }));
  }

  #place(room: RoomRef): Place {
    const known = this.#places.get(room.name);
    if (known !== undefined) {
      clearTimeout(known.dropping);
      known.feed.room = room;
      return known;
    }
    const feed = new Feed(room, this.#engine, this.#told, this.#gate);
    const place: Place = {
      feed,
      attached: this.#engine.attach(room),
      uses: 0,
      dropping: undefined,
      unlisten: undefined,
    };
    // A room that could not be attached is forgotten at once: the next to ask tries anew.
    place.attached.catch(() => this.#drop(room.name, place));
    this.#places.set(room.name, place);
    return place;
  }

  #release(name: string, place: Place): void {
    place.uses--;
    if (place.uses > 0 || this.#places.get(name) !== place) return;
    clearTimeout(place.dropping);
    place.dropping = setTimeout(() => this.#drop(name, place), this.#lingerMs).unref();
  }

  #drop(name: string, place: Place): void {
    if (this.#places.get(name) !== place) return;
    this.#places.delete(name);
    place.unlisten?.();
    place.feed.close();
    this.#engine.detach(place.feed.room);
  }
}

const unkept = { epoch: "", head: 0, trimmed: 0 } as const;

async function repairAll(behind: Iterator<{ feed: Feed }>): Promise<void> {
  for (let next = behind.next(); next.done !== true; next = behind.next()) {
    await next.value.feed.sync().catch(() => undefined);
  }
}

function once<A extends readonly unknown[]>(run: (...args: A) => void): (...args: A) => void {
  let hasRun = false;
  return (...args) => {
    if (hasRun) return;
    hasRun = true;
    run(...args);
  };
}
