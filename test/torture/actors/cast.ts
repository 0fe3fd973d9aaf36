import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "../../../src/client/index.ts";
import type { There } from "../records.ts";
import type { World } from "../world.ts";
import { App, type MakeClient } from "./app.ts";
import { Device } from "./device.ts";
import { ApiPublisher, call, Historian } from "./http.ts";
import { Publisher } from "./publisher.ts";

/** `big` carries much, so that slow readers matter. */
export const rooms = ["a", "b", "big"] as const;

export interface CastOptions {
  /** Messages a second, of all publishers together. */
  readonly perS: number;
  /** Users who come and are gone again, at a time. */
  readonly visitors: number;
  /** What apps make their clients by. Default: `fanfare/client`. */
  readonly makeClient?: MakeClient;
}

const mostRevoked = 100;
const mostTries = 20;
const afterlifeMs = 1_500;
/** The mean time from one to the next. */
const churnMs = 400;
const burstMessages = 400;
const bigPadBytes = 12_000;
const appPerS = 1.5;

/** Everyone who takes part in a run. */
export class Cast {
  readonly #world: World;
  readonly #publishers: readonly Publisher[];
  readonly #api: ApiPublisher;
  readonly #historian: Historian;
  readonly #stayers: readonly Device[];
  readonly #apps: readonly App[];
  readonly #visitors = new Set<Device>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #doomed: Device[] = [];
  readonly #revoked: Device[] = [];
  #doomedCount = 0;
  #visitorCount = 0;
  #isOver = false;

  constructor(world: World, { perS, visitors, makeClient = createClient }: CastOptions) {
    this.#world = world;
    const share = perS / 4;
    this.#publishers = [
      new Publisher(world, { name: "p1", room: "a", perS: share }),
      new Publisher(world, { name: "p2", room: "a", perS: share }),
      new Publisher(world, { name: "p3", room: "b", perS: share }),
      new Publisher(world, { name: "p4", room: "big", perS: share / 2, padBytes: bigPadBytes }),
    ];
    this.#api = new ApiPublisher(world, { name: "api", room: "b", perS: Math.max(1, share / 2) });
    this.#historian = new Historian(world, rooms, 200);
    const device = (name: string, user: string, where: readonly string[], presence = true): Device =>
      new Device(world, { name, user, rooms: where.map((room) => ({ room, presence })) });
    this.#stayers = [
      // One user on three devices.
      device("ann-1", "ann", ["a"]),
      device("ann-2", "ann", ["a", "b"]),
      device("ann-3", "ann", ["a", "big"], false),
      device("bob-1", "bob", ["a", "b"]),
      device("bob-2", "bob", ["big"]),
      device("cid", "cid", ["b"]),
      device("dee", "dee", ["a", "b", "big"]),
      device("eve", "eve", ["big"], false),
      ...this.#publishers.map((publisher) => publisher.device),
    ];
    const app = (name: string, room: string, where: readonly string[], presence: boolean): App => {
      const there = where.map((one) => ({ room: one, presence }));
      return new App(world, { name, room, rooms: there, perS: appPerS, makeClient });
    };
    this.#apps = [
      app("app-1", "a", ["a", "b"], true),
      app("app-2", "b", ["b"], true),
      app("app-3", "big", ["a", "big"], false),
      app("app-4", "a", ["a"], false),
    ];
    this.#doom();
    for (let i = 0; i < visitors; i++) this.#visit();
    this.#churn();
  }

  get devices(): readonly Device[] {
    return [...this.#stayers, ...this.#doomed];
  }

  /** Those who are not in all their rooms. */
  get away(): readonly string[] {
    return [...this.devices, ...this.#apps].filter(({ isWhole }) => !isWhole).map(({ name }) => name);
  }

  get waiting(): number {
    return [...this.#publishers, ...this.#apps].reduce((sum, { waiting }) => sum + waiting, this.#api.waiting);
  }

  /** Where those in a room stand, each position once. */
  cursors(room: string): readonly (string | undefined)[] {
    const here = [...this.devices, ...this.#apps].filter(({ rooms: where }) => where.includes(room));
    return [...new Set(here.map((one) => one.cursor(room)))];
  }

  /** Whom apps believe to be there. */
  get appsThere(): readonly Omit<There, "at" | "kind">[] {
    return this.#apps.flatMap(({ there }) => there);
  }

  /** Who is in a room. */
  users(room: string): readonly string[] {
    const here = [...this.devices, ...this.#visitors].filter((device) => device.rooms.includes(room));
    const apps = this.#apps.filter(({ rooms: where }) => where.includes(room));
    return [...new Set([...here.map(({ user }) => user), ...apps.map(({ name }) => name)])].sort();
  }

  slowReaders(share: number, ms: number): void {
    for (const one of [...this.#stayers, ...this.#apps]) if (this.#world.random() < share) one.stall(ms);
  }

  burst(share: number): void {
    const [first] = this.#publishers;
    (share < 0.6 ? first : this.#publishers.at(-1))?.burst(Math.round(burstMessages * (0.3 + share)));
  }

  /** Revokes the user whose turn it is, until that is done; another takes the place. */
  async revoke(): Promise<void> {
    const doomed = this.#doomed.shift();
    if (doomed === undefined) return;
    this.#revoked.push(doomed);
    this.#doom();
    const path = `/v1/users/${doomed.user}/connections?revoke=true`;
    for (let tries = 0; tries < mostTries; tries++) {
      const { status } = await call(this.#world, { actor: "operator", method: "DELETE", path });
      if (status === 204) break;
    }
    // For a while it tries to come back with the same token.
    await wait(afterlifeMs);
    doomed.stop("vanish");
  }

  /** From now on nobody comes; those who are only visiting go. */
  settle(): void {
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const visitor of this.#visitors) visitor.stop("goodbye");
    this.#visitors.clear();
  }

  stopPublishing(): void {
    for (const publisher of this.#publishers) publisher.stop();
    this.#api.stop();
    for (const app of this.#apps) app.stop();
  }

  /** All leave, and nothing is asked for any more. */
  async end(): Promise<void> {
    this.settle();
    for (const publisher of this.#publishers) publisher.end();
    this.#api.end();
    this.#historian.end();
    for (const app of this.#apps) app.end();
    for (const device of [...this.devices, ...this.#revoked]) device.stop("goodbye");
    await Promise.all([this.#api.done, this.#historian.done]);
  }

  #doom(): void {
    if (this.#doomedCount >= mostRevoked) return;
    const name = `doomed-${++this.#doomedCount}`;
    this.#doomed = [
      ...this.#doomed,
      new Device(this.#world, { name, user: name, rooms: [{ room: "a" }, { room: "b" }] }),
    ];
  }

  /** Comes, stays for a moment, goes or is lost, and comes as another one later. */
  #visit(): void {
    if (this.#isOver) return;
    const { random } = this.#world;
    const name = `visitor-${++this.#visitorCount}`;
    const room = random() < 0.5 ? "a" : "b";
    const visitor = new Device(this.#world, { name, user: name, rooms: [{ room, presence: random() < 0.3 }] });
    this.#visitors.add(visitor);
    this.#later(300 + random() * 3_000, () => {
      visitor.stop(random() < 0.5 ? "goodbye" : "vanish");
      this.#visitors.delete(visitor);
      this.#later(random() * 1_000, () => this.#visit());
    });
  }

  /** Whatever else goes on, networks of single devices fail all the time. */
  #churn(): void {
    if (this.#isOver) return;
    const { random } = this.#world;
    const all = [...this.#stayers, ...this.#apps];
    const one = all[Math.floor(random() * all.length)];
    this.#later(random() * 2 * churnMs, () => {
      if (one instanceof App) one.disturb();
      else one?.cut(random() < 0.5);
      this.#churn();
    });
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }
}
