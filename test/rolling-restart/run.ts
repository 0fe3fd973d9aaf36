import { setTimeout as wait } from "node:timers/promises";
import { WebSocket } from "ws";
import { createClient, type Client, type RoomState } from "../../src/client/index.ts";
import { startRedis } from "../support/engines/redis.ts";
import { http } from "../support/http.ts";
import { randomFrom } from "../support/random.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { makeToken } from "../support/token.ts";
import { Device } from "../torture/actors/device.ts";
import { Publisher } from "../torture/actors/publisher.ts";
import { finalReads, presenceReads } from "../torture/final.ts";
import { Recorder, type App, type Rec } from "../torture/records.ts";
import type { World } from "../torture/world.ts";
import { startNginx, upstreamOf, type Nginx } from "./nginx.ts";

export interface RollingOptions {
  readonly clients: number;
  /** How long a node takes to close its connections. */
  readonly drainMs: number;
  readonly seed: number;
  readonly tell?: (line: string) => void;
}

export interface Rolling {
  readonly records: readonly Rec[];
  /** When each node was told to end, and when it was back, in milliseconds since the beginning. */
  readonly restarts: readonly { readonly node: string; readonly fromMs: number; readonly toMs: number }[];
  /** How each node ended. */
  readonly exitCodes: readonly (number | null)[];
  /** Which node each connection led to, by its name in the records. */
  readonly nodeOf: ReadonlyMap<string, string>;
  /** What each node wrote. */
  readonly outputs: readonly string[];
}

const nodes = 3;
const roomClients = 50;
/** Of each room's clients, so many see who is there; and so many are apps on our own client. */
const watchers = 3;
const apps = 1;
const messagesPerS = 2;
const silenceMs = 35_000;
const wholeWithinMs = 30_000;
const betweenMs = 2_000;
const headWithinMs = 7_000;

/** Three nodes on Redis behind nginx, each restarted in turn while a crowd talks. */
export async function rollingRestart(options: RollingOptions): Promise<Rolling> {
  const redis = await startRedis();
  const run = new Run(options, redis.url);
  try {
    return await run.go();
  } finally {
    await run.end();
    await redis.stop();
  }
}

class Run {
  readonly #options: RollingOptions;
  readonly #url: string;
  readonly #recorder: Recorder;
  readonly #random: () => number;
  readonly #servers: TestServer[] = [];
  readonly #devices: Device[] = [];
  readonly #publishers: Publisher[] = [];
  readonly #apps: Client[] = [];
  readonly #appRooms: Map<string, { readonly state: RoomState }> = new Map();
  readonly #rooms: readonly string[];
  readonly #nodeOf = new Map<string, string>();
  readonly #users = new Map<string, Set<string>>();
  #nginx: Nginx | undefined;
  #calls = 0;

  constructor(options: RollingOptions, url: string) {
    const startedAt = performance.now();
    this.#recorder = new Recorder(() => performance.now() - startedAt);
    this.#random = randomFrom(options.seed);
    this.#options = options;
    this.#url = url;
    this.#rooms = Array.from({ length: Math.ceil(options.clients / roomClients) }, (_, i) => `room-${i + 1}`);
  }

  async go(): Promise<Rolling> {
    const { seed, drainMs } = this.#options;
    const limits = { keepMessages: 10_000, rssGrowthBytes: 256 * 1_048_576, silenceMs };
    this.#recorder.add({ kind: "begun", backend: "redis", seed, losing: [], ...limits });
    const args = ["--backend", this.#url, "--drain-ms", String(drainMs), "--keep-messages", "10000"];
    for (let i = 0; i < nodes; i++) this.#servers.push(await startServer([...args, "--log-level", "warn"]));
    this.#nginx = await startNginx(this.#servers);
    this.#gather();
    await this.#whole();
    this.#options.tell?.(`${this.#options.clients} clients in ${this.#rooms.length} rooms`);
    await wait(betweenMs);
    const restarts = [];
    const exitCodes = [];
    for (const [i, server] of this.#servers.entries()) {
      const fromMs = this.#recorder.now();
      const { code } = await server.stop();
      await server.start();
      await this.#ready(server);
      const toMs = this.#recorder.now();
      exitCodes.push(code);
      restarts.push({ node: `node-${i + 1}`, fromMs, toMs });
      this.#options.tell?.(`node-${i + 1} was away for ${Math.round(toMs - fromMs)} ms`);
      await this.#whole();
      await wait(betweenMs);
    }
    await this.#finish();
    const outputs = this.#servers.map(({ output }) => output);
    return { records: this.#recorder.records, restarts, exitCodes, nodeOf: this.#nodeOf, outputs };
  }

  async end(): Promise<void> {
    for (const publisher of this.#publishers) publisher.end();
    for (const device of this.#devices) device.stop("vanish");
    for (const app of this.#apps) app.close();
    await this.#nginx?.stop();
    for (const server of this.#servers) if (server.alive) await server.kill();
  }

  #gather(): void {
    const world = this.#world();
    for (let i = 0; i < this.#options.clients; i++) {
      const room = this.#rooms[Math.floor(i / roomClients)] ?? "";
      const place = i % roomClients;
      const user = `user-${i + 1}`;
      this.#there(room, user);
      if (place >= watchers && place < watchers + apps) this.#app(room, user);
      else this.#devices.push(new Device(world, { name: user, user, rooms: [{ room, presence: place < watchers }] }));
    }
    for (const [i, room] of this.#rooms.entries()) {
      const name = `publisher-${i + 1}`;
      this.#there(room, name);
      this.#publishers.push(new Publisher(world, { name, room, perS: messagesPerS }));
    }
  }

  #app(room: string, user: string): void {
    const token = makeToken({ sub: user, rooms: ["**"], expires_in_ms: 86_400_000 });
    const client = createClient({ url: `ws://${this.#address().host}/ws`, token, WebSocket });
    client.connect();
    const joined = client.join(room);
    const add = (what: App["what"], more: object): void => {
      const { cursor } = joined;
      const at = cursor === undefined ? {} : { cursor };
      this.#recorder.add({ kind: "app", actor: user, room, what, ...at, ...more });
    };
    joined.on("message", ({ offset, data }) => {
      add("message", { offset, id: String((data as { id?: unknown }).id) });
    });
    joined.on("joined", () => add("joined", {}));
    joined.on("gap", ({ reason }) => add("gap", { reason }));
    joined.on("reset", ({ reason }) => add("reset", { reason }));
    this.#apps.push(client);
    this.#appRooms.set(user, joined);
  }

  async #finish(): Promise<void> {
    this.#recorder.add({ kind: "mark", mark: "healed" });
    for (const publisher of this.#publishers) publisher.stop();
    await this.#until(() => this.#publishers.every(({ waiting }) => waiting === 0), wholeWithinMs);
    this.#recorder.add({ kind: "mark", mark: "quiet" });
    await wait(headWithinMs + 300);
    const world = this.#world();
    const named = this.#servers.map((_, i) => ({ name: `node-${i + 1}` }));
    const users = (room: string): readonly string[] => [...(this.#users.get(room) ?? [])].sort();
    await presenceReads(world, named, { rooms: this.#rooms, users }, this.#recorder.now() + 10_000);
    await finalReads(world, named, this.#rooms);
  }

  async #whole(): Promise<void> {
    await this.#until(() => this.#away().length === 0, wholeWithinMs);
    this.#recorder.add({ kind: "mark", mark: "back", who: this.#away() });
  }

  #away(): string[] {
    const devices = [...this.#devices, ...this.#publishers.map(({ device }) => device)];
    const apps = [...this.#appRooms].filter(([, { state }]) => state !== "joined").map(([user]) => user);
    return [...devices.filter(({ isWhole }) => !isWhole).map(({ name }) => name), ...apps];
  }

  async #ready(server: TestServer): Promise<void> {
    while ((await http(`http://${server.host}/readyz`).catch(() => undefined))?.status !== 200) await wait(20);
  }

  async #until(isSo: () => boolean, withinMs: number): Promise<void> {
    const giveUpAt = performance.now() + withinMs;
    while (!isSo() && performance.now() < giveUpAt) await wait(25);
  }

  #there(room: string, user: string): void {
    const users = this.#users.get(room) ?? new Set();
    this.#users.set(room, users.add(user));
  }

  #address(): Nginx["address"] {
    if (this.#nginx === undefined) throw new Error("nginx does not run");
    return this.#nginx.address;
  }

  /** Clients go by nginx; who names a node is asked there itself. */
  #world(): World {
    return {
      recorder: this.#recorder,
      random: this.#random,
      silenceMs,
      door: (name) => {
        const server = name === undefined ? undefined : this.#servers[Number(name.slice("node-".length)) - 1];
        if (server === undefined) return { name: "nginx", address: this.#address() };
        return { name: name ?? "", address: { host: server.host, port: server.port } };
      },
      refused: () => undefined,
      upgraded: (connection, head) => {
        const i = this.#servers.findIndex(({ host }) => upstreamOf(head) === host);
        if (i !== -1) this.#nodeOf.set(connection, `node-${i + 1}`);
      },
      callId: () => `call-${++this.#calls}`,
    };
  }
}
