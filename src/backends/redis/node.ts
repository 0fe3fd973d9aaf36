import type { Redis } from "ioredis";
import {
  type Appended,
  type BackendContext,
  BackendUnavailable,
  type KeyFacts,
  type KeyRef,
  type LogState,
  type NewEntry,
  type RoomRef,
} from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { FeedEngine } from "../feed/engine.ts";
import { Feeds } from "../feed/feeds.ts";
import { Bus } from "./bus.ts";
import { Calls } from "./calls.ts";
import { Facts } from "./facts.ts";
import { decodePush, encodeText, Names } from "./layout.ts";
import { Link } from "./link.ts";
import { RedisLog } from "./log.ts";
import type { Resolved } from "./options.ts";
import { Order } from "./order.ts";
import { Probe } from "./probe.ts";
import { probe } from "./scripts.ts";
import { settleTerm } from "./term.ts";

/**
 * One process at one Redis: a connection for commands, one for what is pushed, and between them the rooms that this
 * process listens to.
 */
export class Node {
  readonly log: RedisLog;
  readonly feeds: Feeds;
  readonly facts: Facts;
  readonly #options: Resolved;
  readonly #context: BackendContext;
  readonly #names: Names;
  readonly #commands: Link;
  readonly #calls: Calls;
  readonly #bus: Bus;
  readonly #probe: Probe;
  readonly #order = new Order();
  readonly #probeName: string;
  readonly #now: () => number | undefined;
  #term = "";
  #mustRestore = false;

  constructor(options: Resolved, context: BackendContext, make: () => Redis, isClockHanded: boolean) {
    const { place, waitMs, prefix } = options;
    this.#options = options;
    this.#context = context;
    this.#names = new Names(prefix, options.connection.db ?? 0);
    this.#probeName = this.#names.probe(newEpoch());
    this.#now = () => (isClockHanded ? context.now() : undefined);
    this.#commands = new Link(
      {
        make,
        settle: (client) => this.#settle(client),
        opened: (client) => this.#opened(client),
        lost: (error) => this.#calls.lost(error),
      },
      { title: "commands", place, log: context.log },
    );
    this.#calls = new Calls(this.#commands, place, waitMs);
    this.log = new RedisLog({
      names: this.#names,
      calls: this.#calls,
      place,
      term: () => this.#term,
      now: this.#now,
      known: (room) => this.feeds.get(room)?.position,
    });
    this.facts = new Facts(this.#calls, this.#names, this.#now);
    this.feeds = new Feeds(this.#engine(), context);
    const message = (channel: string, text: string): void => this.#message(channel, text);
    const lost = (): void => this.#lost();
    const restored = (): void => this.#restore();
    this.#bus = new Bus({ make, place, waitMs, log: context.log, message, lost, restored });
    this.#probe = new Probe({ send: (text) => this.#sendProbe(text), broken: (error) => this.#broken(error) });
  }

  async start(): Promise<void> {
    await this.#commands.start(this.#options.waitMs);
    await this.#bus.link.start(this.#options.waitMs);
    await this.#bus.attach(this.#probeName);
    this.#probe.start();
  }

  async check(): Promise<void> {
    if (this.#commands.client === undefined || this.#bus.link.client === undefined)
      throw new BackendUnavailable(`there is no connection to Redis at ${this.#options.place} now`);
    await this.#probe.run();
  }

  append(room: RoomRef, entry: NewEntry, key: (KeyRef & KeyFacts) | undefined): Promise<Appended> {
    return this.#order.run(room.name, key, (before) => this.log.append(room, entry, key, before));
  }

  async state(room: RoomRef): Promise<LogState> {
    const { epoch, head, trimmed } = await this.log.state(room, this.feeds.get(room.name)?.position);
    return { epoch, head, trimmed };
  }

  async relay(room: RoomRef, text: string): Promise<void> {
    await this.#calls.runNow(() => ["PUBLISH", this.#names.channel(room.name), encodeText(text)]);
  }

  /** Waits for what is under way, as long as it may take. */
  async close(): Promise<void> {
    this.#probe.close();
    this.feeds.close();
    await this.#calls.drained();
    this.destroy();
  }

  destroy(): void {
    this.#probe.close();
    this.feeds.close();
    this.#calls.close();
    this.#commands.close();
    this.#bus.close();
  }

  #engine(): FeedEngine {
    return {
      hasLog: ({ keep }) => keep.messages > 0,
      attach: (room) => this.#bus.attach(this.#names.channel(room.name)),
      detach: (room) => this.#bus.detach(this.#names.channel(room.name)),
      state: (room, known) => this.log.state(room, known),
      read: (room, after, limit, epoch) => this.log.read(room, after, limit, epoch),
      heads: (feeds) => this.log.heads(feeds),
      others: (room) => this.#others(room),
    };
  }

  async #others(room: RoomRef): Promise<number> {
    const reply = await this.#calls.run(() => ["PUBSUB", "NUMSUB", this.#names.channel(room.name)]);
    return Math.max(0, Number((reply as readonly unknown[])[1]) - 1);
  }

  async #settle(client: Redis): Promise<void> {
    const { term, evictionPolicy } = await settleTerm(client, this.#names.term, this.#options.connection.db ?? 0);
    if (this.#term === "" && evictionPolicy !== undefined && evictionPolicy !== "noeviction") {
      const advice =
        "Redis throws logs, keys of publishes and revocations away when its memory is full: set maxmemory-policy to noeviction";
      this.#context.log("warn", advice, { evictionPolicy });
    }
    // Other data: what was pushed so far may come from an engine that nobody writes to any more.
    if (this.#term !== "" && this.#term !== term) this.#bus.link.reset(new Error("the engine's data has another life"));
    this.#term = term;
  }

  #opened(client: Redis): void {
    this.#calls.opened(client);
    if (this.#mustRestore) this.#restore();
    else void this.feeds.check();
  }

  #lost(): void {
    this.#mustRestore = false;
    this.feeds.lost();
  }

  /** Once both connections are there; until then what is missing cannot be read. */
  #restore(): void {
    this.#mustRestore = this.#commands.client === undefined;
    if (!this.#mustRestore) void this.feeds.restored();
  }

  #message(channel: string, text: string): void {
    const room = this.#names.roomOf(channel);
    if (room === undefined) {
      this.#probe.heard(text);
      return;
    }
    const pushed = decodePush(text);
    if (pushed?.kind === "message") this.feeds.push(room, pushed.entry, pushed.epoch);
    else if (pushed?.kind === "text") this.feeds.relayed(room, pushed.text);
    else this.#context.malformed?.();
  }

  async #sendProbe(text: string): Promise<number> {
    const name = this.#probeName;
    const words = ["EVALSHA", probe.sha, 2, this.#names.term, name, this.#term, "", name, text] as const;
    return Number(await this.#calls.runNow(() => words));
  }

  #broken(error: Error): void {
    this.#commands.reset(error);
    this.#bus.link.reset(error);
  }
}
