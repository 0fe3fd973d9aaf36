import type { Json, JsonObject } from "../../../src/protocol/json.ts";
import { LeanConnection } from "../../support/no-loss/connection.ts";
import { makeToken } from "../../support/token.ts";
import { slim, type Recorder } from "../records.ts";
import type { Door, World } from "../world.ts";

export interface DeviceRoom {
  readonly room: string;
  /** Whether it watches who is there (P-42). */
  readonly presence?: boolean;
}

export interface DeviceOptions {
  readonly name: string;
  readonly user: string;
  readonly rooms: readonly DeviceRoom[];
  /** The node that it goes to, every time; absent: any. */
  readonly node?: string;
  /** What else wants to see the frames that it gets. */
  readonly frame?: (frame: JsonObject) => void;
  /** It is in all its rooms, again or for the first time. */
  readonly whole?: () => void;
  readonly broken?: () => void;
}

const tokenLifeMs = 86_400_000;
const leastRetryMs = 50;
const mostRetryMs = 500;

/**
 * A client that follows the protocol and does nothing beyond it: it joins, answers pings, and comes back by its cursors
 * (P-37) whenever its connection goes. It sorts nothing and drops nothing. What it does and gets is recorded.
 */
export class Device {
  readonly name: string;
  readonly user: string;
  readonly #world: World;
  readonly #recorder: Recorder;
  readonly #options: DeviceOptions;
  readonly #token: string;
  readonly #tokenAt: number;
  readonly #cursors = new Map<string, { epoch: string; offset: number }>();
  readonly #joined = new Set<string>();
  #connection: LeanConnection | undefined;
  #id = "";
  #node: Door | undefined;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;
  #retryMs: number | undefined;
  #isStopped = false;
  #isStalled = false;

  constructor(world: World, options: DeviceOptions) {
    this.name = options.name;
    this.user = options.user;
    this.#world = world;
    this.#recorder = world.recorder;
    this.#options = options;
    this.#token = makeToken({ sub: options.user, rooms: ["**"], iat: Date.now() / 1000, expires_in_ms: tokenLifeMs });
    this.#tokenAt = world.recorder.now();
    this.#open();
  }

  /** Whether it is in all its rooms now. */
  get isWhole(): boolean {
    return !this.#isStopped && this.#joined.size === this.#options.rooms.length;
  }

  get rooms(): readonly string[] {
    return this.#options.rooms.map(({ room }) => room);
  }

  get node(): string {
    return this.#node?.name ?? "";
  }

  cursor(room: string): string | undefined {
    const cursor = this.#cursors.get(room);
    return cursor === undefined ? undefined : `${cursor.epoch}:${cursor.offset}`;
  }

  /** False where there is no connection that is in its rooms. */
  send(frame: JsonObject): boolean {
    if (!this.isWhole || this.#connection === undefined) return false;
    this.#send(frame);
    return true;
  }

  /** Reads nothing for so long. */
  stall(ms: number): void {
    if (this.#isStopped || this.#isStalled) return;
    this.#isStalled = true;
    this.#connection?.stall();
    clearTimeout(this.#silence);
    setTimeout(() => {
      this.#isStalled = false;
      this.#connection?.goOn();
      this.#heard();
    }, ms).unref();
  }

  /** Its network is gone for a moment: nothing is said to the server. */
  cut(withReset: boolean): void {
    if (this.#isStopped) return;
    this.#drop(withReset);
    this.#again(0);
  }

  /** It says goodbye and never comes back, or it is just never heard of again. */
  stop(how: "goodbye" | "vanish"): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#options.broken?.();
    if (how === "vanish" || this.#connection === undefined) return this.#drop(true);
    this.#connection.goOn();
    this.#recorder.add({ kind: "ended", connection: this.#id, by: "device", code: 1000 });
    this.#connection.close(1000);
    const last = this.#connection;
    this.#connection = undefined;
    setTimeout(() => last.cut(false), 3_000).unref();
  }

  #open(): void {
    const node = this.#world.door(this.#options.node);
    this.#node = node;
    this.#id = `${this.name}/${++this.#count}`;
    const connection = this.#id;
    const opened = { actor: this.name, user: this.user, node: node.name, tokenAt: this.#tokenAt };
    this.#recorder.add({ kind: "opened", connection, ...opened });
    const socket = new LeanConnection(node.address, this.#token, {
      text: (bytes, start, end) => {
        if (this.#connection === socket) this.#text(bytes.toString("utf8", start, end));
      },
      upgraded: (head) => this.#world.upgraded?.(connection, head),
      ended: (code) => {
        if (this.#connection !== socket) return;
        this.#recorder.add({ kind: "ended", connection, by: "peer", ...(code !== undefined && { code }) });
        this.#lost();
        // P-61: after these a client stops.
        if (code === 4001 || code === 4003) this.#world.refused(this);
        // P-53: who was told of the end comes back when it was told to.
        this.#again(code === 1012 ? this.#retryMs : undefined);
      },
    });
    this.#retryMs = undefined;
    this.#connection = socket;
    this.#heard();
    for (const { room, presence } of this.#options.rooms) {
      const since = this.cursor(room);
      this.#send({
        type: "join",
        id: `join ${room}`,
        room,
        ...(since !== undefined && { since }),
        ...(presence === true && { presence }),
      });
    }
  }

  #send(frame: JsonObject): void {
    this.#recorder.add({ kind: "sent", connection: this.#id, frame: slim(frame) });
    this.#connection?.send(frame);
  }

  #text(text: string): void {
    const frame = slim(JSON.parse(text) as JsonObject);
    this.#recorder.add({ kind: "got", connection: this.#id, frame });
    this.#heard();
    const room = String(frame["room"]);
    switch (frame["type"]) {
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "joined":
        this.#move(room, frame["cursor"]);
        this.#joined.add(room);
        if (this.isWhole) this.#options.whole?.();
        break;
      case "drain":
        this.#retryMs = Number(frame["retry_after_ms"]);
        break;
      case "gap":
        this.#move(room, frame["cursor"]);
        break;
      case "message":
      case "skip": {
        const cursor = this.#cursors.get(room);
        if (cursor !== undefined) cursor.offset = Number(frame["offset"]);
        break;
      }
      case "error":
        // A join that could not be served now: from the beginning.
        if (String(frame["re"]).startsWith("join ")) this.cut(true);
        break;
      default:
    }
    this.#options.frame?.(frame);
  }

  #move(room: string, cursor: Json | undefined): void {
    const [epoch = "", offset = ""] = String(cursor).split(":");
    this.#cursors.set(room, { epoch, offset: Number(offset) });
  }

  #drop(withReset: boolean): void {
    if (this.#connection !== undefined) this.#recorder.add({ kind: "ended", connection: this.#id, by: "device" });
    this.#connection?.cut(withReset);
    this.#lost();
  }

  #lost(): void {
    this.#connection = undefined;
    this.#joined.clear();
    clearTimeout(this.#silence);
    this.#options.broken?.();
  }

  #again(delayMs = leastRetryMs + this.#world.random() * (mostRetryMs - leastRetryMs)): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#open(), delayMs);
  }

  /** P-52: a server that says nothing for so long is gone. */
  #heard(): void {
    clearTimeout(this.#silence);
    if (this.#isStalled || this.#isStopped) return;
    this.#silence = setTimeout(() => {
      this.#drop(true);
      this.#again();
    }, this.#world.silenceMs);
  }
}
