import { WebSocket } from "ws";
import type { Client, ClientOptions, FanfareError, Room, WebSocketClass } from "../../../src/client/index.ts";
import { makeToken } from "../../support/token.ts";
import type { App as AppRecord, There } from "../records.ts";
import type { World } from "../world.ts";
import type { DeviceRoom } from "./device.ts";

/** What an app makes its client by. */
export type MakeClient = (options: ClientOptions) => Client;

export interface AppOptions {
  readonly name: string;
  readonly rooms: readonly DeviceRoom[];
  /** Where it publishes: one of its rooms. */
  readonly room: string;
  /** Messages a second, in the mean. */
  readonly perS: number;
  readonly makeClient: MakeClient;
}

type Told = Omit<AppRecord, "at" | "kind" | "actor" | "room">;

const tokenLifeMs = 86_400_000;
/** As the client's own, but sooner back: a run does not wait for half a minute. */
const timing = { backoffMs: 200, maxBackoffMs: 2_000, waitMs: 1_000, spreadMs: 500 } as const;
/** At most so many are published in one turn, so that they wait for each other. */
const mostAtOnce = 5;
const unechoedEvery = 9;
const conflictEvery = 20;
const badEvery = 25;
const mostAwayMs = 800;

/**
 * An app on `fanfare/client`, which has no part in keeping up: it connects once, publishes each message once, and records
 * what it is told. Its network is cut, it closes its client and opens it again, or it begins a new life with the
 * position that the old one had.
 */
export class App {
  readonly name: string;
  readonly #world: World;
  readonly #options: AppOptions;
  readonly #token: string;
  readonly #tokenAt: number;
  #client: Client;
  #handles = new Map<string, Room>();
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #publishing: NodeJS.Timeout | undefined;
  #connections = 0;
  #count = 0;
  #lastKey: string | undefined;
  #isEnded = false;
  /** Publishes of which it was not told yet what came of them. */
  waiting = 0;

  constructor(world: World, options: AppOptions) {
    this.name = options.name;
    this.#world = world;
    this.#options = options;
    const { name: sub } = options;
    this.#token = makeToken({ sub, rooms: ["**"], iat: Date.now() / 1000, expires_in_ms: tokenLifeMs });
    this.#tokenAt = world.recorder.now();
    this.#client = this.#begin();
    this.#publishLater();
  }

  get rooms(): readonly string[] {
    return this.#options.rooms.map(({ room }) => room);
  }

  /** Whether it is in all its rooms now. */
  get isWhole(): boolean {
    return (
      this.#client.status.state === "online" && [...this.#handles.values()].every(({ state }) => state === "joined")
    );
  }

  cursor(room: string): string | undefined {
    return this.#handles.get(room)?.cursor;
  }

  /** Whom it believes to be there, in each room that it watches. */
  get there(): readonly Omit<There, "at" | "kind">[] {
    const watched = this.#options.rooms.filter(({ presence }) => presence === true);
    return watched.map(({ room }) => {
      const { presence, members = 0 } = this.#handles.get(room) ?? {};
      return { source: this.name, room, users: [...(presence?.keys() ?? [])].sort(), members };
    });
  }

  /** Its network is gone for a moment, or it closes its client for one, or it is another from now on. */
  disturb(): void {
    if (this.#isEnded || this.#timer !== undefined) return;
    const kind = this.#world.random();
    if (kind < 0.6) return this.#socket?.terminate();
    this.#close();
    if (kind < 0.8) {
      this.#client = this.#begin(new Map([...this.#handles].map(([room, { cursor }]) => [room, cursor])));
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isEnded) this.#client.connect();
    }, this.#world.random() * mostAwayMs);
  }

  /** Reads nothing for so long. */
  stall(ms: number): void {
    const socket = this.#socket;
    socket?.pause();
    setTimeout(() => socket?.resume(), ms).unref();
  }

  stop(): void {
    clearTimeout(this.#publishing);
    this.#publishing = undefined;
  }

  end(): void {
    if (this.#isEnded) return;
    this.stop();
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#close();
  }

  #begin(since: ReadonlyMap<string, string | undefined> = new Map()): Client {
    const url = `ws://${this.#world.door().address.host}/ws`;
    const client = this.#options.makeClient({ url, token: this.#token, WebSocket: this.#socketClass(), timing });
    client.on("error", ({ code }) => this.#told("", { what: "error", reason: code }));
    this.#handles = new Map(
      this.#options.rooms.map(({ room, presence }) => {
        const cursor = since.get(room);
        const handle = client.join(room, {
          ...(presence && { presence }),
          ...(cursor !== undefined && { since: cursor }),
        });
        this.#listen(handle, presence === true);
        return [room, handle];
      }),
    );
    client.connect();
    return client;
  }

  #listen(room: Room, isWatched: boolean): void {
    const told = (given: Told): void => this.#told(room.name, given);
    const at = ({ cursor }: { cursor?: string | undefined }): { cursor?: string } =>
      cursor === undefined ? {} : { cursor };
    room.on("message", ({ offset, data }) => {
      told({ what: "message", offset, id: String((data as { id?: unknown }).id), ...at(room) });
    });
    room.on("joined", (joined) => told({ what: "joined", ...at(joined) }));
    room.on("gap", (gap) => told({ what: "gap", reason: gap.reason, ...at(gap) }));
    room.on("reset", (reset) => told({ what: "reset", reason: reset.reason, ...at(reset) }));
    room.on("left", ({ reason }) => told({ what: "left", reason }));
    room.on("error", ({ code }) => told({ what: "error", reason: code }));
    // Where it does not watch it is told counts alone (P-43).
    if (!isWatched) return;
    room.on("presence", ({ joined, left, replaced, members }) => {
      const change = replaced ? { users: [...room.presence.keys()] } : { joined: joined.map(({ user }) => user), left };
      told({ what: "presence", ...change, members });
    });
  }

  /** Goes to any node, at each attempt. */
  #socketClass(): WebSocketClass {
    const begin = (socket: WebSocket, node: string): void => this.#opened(socket, node);
    const door = (): ReturnType<World["door"]> => this.#world.door();
    return class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        const { name, address } = door();
        const target = new URL(url);
        target.host = address.host;
        super(target, protocols);
        begin(this, name);
      }
    };
  }

  #opened(socket: WebSocket, node: string): void {
    this.#socket = socket;
    const connection = `${this.name}/${++this.#connections}`;
    const { recorder } = this.#world;
    recorder.add({ kind: "opened", connection, actor: this.name, user: this.name, node, tokenAt: this.#tokenAt });
    socket.on("close", (code) => {
      // Of a socket that the client let go of it does not want to hear any more.
      const by = socket.onclose === null ? "device" : "peer";
      recorder.add({ kind: "ended", connection, by, ...(code !== 1006 && { code }) });
    });
  }

  #told(room: string, given: Told): void {
    this.#world.recorder.add({ kind: "app", actor: this.name, room, ...given });
  }

  #close(): void {
    for (const room of this.rooms) this.#told(room, { what: "closed" });
    this.#client.close();
  }

  #publishLater(): void {
    const { random } = this.#world;
    const count = 1 + Math.floor(random() * mostAtOnce);
    const ms = ((count * 1000) / this.#options.perS) * 2 * random();
    this.#publishing = setTimeout(() => {
      for (let i = 0; i < count; i++) this.#publishNext();
      this.#publishLater();
    }, ms);
  }

  #publishNext(): void {
    const n = ++this.#count;
    const id = `${this.name}-${n}`;
    const isBad = n % badEvery === 0;
    const conflicting = n % conflictEvery === 0 ? this.#lastKey : undefined;
    const options = { ...(n % unechoedEvery === 0 && { echo: false }), ...(conflicting && { key: conflicting }) };
    void this.#publish(id, isBad ? "e".repeat(65) : "said", options);
  }

  async #publish(id: string, event: string, options: { echo?: boolean; key?: string }): Promise<void> {
    const { room } = this.#options;
    const { echo } = options;
    const { recorder } = this.#world;
    const actor = this.name;
    recorder.add({ kind: "asked", actor, room, id, ...(echo !== undefined && { echo }) });
    this.waiting++;
    try {
      const publishing = this.#handles.get(room)?.publish(event, { id }, options);
      const { cursor, duplicate = false } = (await publishing) ?? {};
      this.#lastKey = publishing?.key;
      recorder.add({ kind: "told", actor, id, duplicate, ...(cursor !== undefined && { cursor }) });
    } catch (error) {
      const { code, cause } = error as FanfareError;
      const why = cause instanceof Error && "code" in cause ? { cause: String(cause.code) } : {};
      recorder.add({ kind: "told", actor, id, code, ...why });
    } finally {
      this.waiting--;
    }
  }
}
