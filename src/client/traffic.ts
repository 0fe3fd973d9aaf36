import type { AckFrame, ErrorFrame, HistoryFrame, ServerFrame } from "../protocol/frames.ts";
import { utf8Bytes } from "../protocol/names.ts";
import { checkEvent, type FindSpec } from "./checks.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { WelcomeFrame } from "./line.ts";
import { Membership } from "./membership.ts";
import { Pacer } from "./pacer.ts";
import type { ClientLimits, ClientTiming, Platform } from "./platform.ts";
import { Requests } from "./requests.ts";
import { RoomHandle, type RoomOwner } from "./room.ts";
import type { JoinOptions, Kept, Left, PublishOptions, Publishing } from "./types.ts";

export interface TrafficParts {
  readonly platform: Platform;
  readonly timing: ClientTiming;
  readonly limits: ClientLimits;
  readonly findSpec: FindSpec;
  readonly line: { readonly bufferedBytes: number; send(frame: object | string): void };
  /** There may be something to flush: `flush` is to be called soon, once for many of these. */
  changed(): void;
  error(error: FanfareError): void;
  listenerFailed(cause: unknown): void;
}

/** While more than this waits in the socket, no publish is added; signals are dropped far earlier. */
const maxBufferedBytes = 1_048_576;
const maxBufferedForSignals = 65_536;
/** How soon to look again at a socket that was full: nothing tells. */
const fullSocketMs = 50;
/** P-63. */
const historyCost = 10;

/** The rooms of a client and all that is asked of the server for them, in order and within its limits. */
export class Traffic implements RoomOwner {
  readonly #parts: TrafficParts;
  readonly #rooms = new Map<string, Membership>();
  readonly #publishes: Requests<AckFrame>;
  readonly #pages: Requests<HistoryFrame>;
  readonly #pacer = new Pacer();
  #isOnline = false;
  #user = "";
  #messageBytes = 0;
  #freeJoins = 0;
  #ids = 0;
  /** Nobody is going to connect: what would wait for it is refused. */
  #givenUp = false;

  constructor(parts: TrafficParts) {
    this.#parts = parts;
    const { limits, timing, platform } = parts;
    const { queuedPublishes: maxCount, queuedBytes: maxBytes, queuedHistory, inFlight } = limits;
    const publishes = { maxCount, maxBytes, inFlight, late: "outcome_unknown" } as const;
    const pages = { maxCount: queuedHistory, maxBytes, inFlight: queuedHistory, late: "timeout" } as const;
    this.#publishes = new Requests(publishes, timing, platform.random);
    this.#pages = new Requests(pages, timing, platform.random);
  }

  // What the line tells.

  begin(): void {
    this.#givenUp = false;
  }

  resume({ limits, user }: WelcomeFrame): void {
    this.#isOnline = true;
    this.#freeJoins = limits.rooms;
    this.#messageBytes = limits.message_bytes;
    this.#pacer.reset(limits.requests_per_s, this.#parts.platform.now());
    // A tenth of the server's time is kept back: a repeat that is sent in time may arrive late.
    this.#publishes.server = { messageBytes: limits.message_bytes, repeatMs: limits.dedupe_ms * 0.9 };
    this.#pages.server = { messageBytes: Infinity, repeatMs: Infinity };
    this.#noteUser(user);
    this.#parts.changed();
  }

  suspend(): void {
    this.#isOnline = false;
    this.#publishes.suspend();
    this.#pages.suspend();
    for (const room of this.#rooms.values()) room.suspend();
  }

  giveUp(): void {
    const error = new FanfareError("stopped");
    this.#givenUp = true;
    this.#publishes.fail(error);
    this.#pages.fail(error);
  }

  frame(frame: ServerFrame): void {
    const { room: name = "" } = frame as { room?: string };
    const room = this.#rooms.get(name);
    switch (frame.type) {
      case "ack":
        this.#publishes.answer(frame.re, frame);
        break;
      case "history":
        this.#pages.answer(frame.re, frame);
        break;
      case "error":
        this.#refused(frame, room);
        break;
      case "joined":
        room?.joined(frame);
        break;
      case "left":
        // Without a reason it answers a `leave`, and that membership is over already.
        if (room?.state === "joined" && frame.reason !== undefined) this.#removed(room, frame.reason);
        break;
      case "message":
        return room?.message(frame);
      case "signal":
        return room?.signal(frame);
      case "skip":
        return room?.skip(frame.offset);
      case "gap":
        return room?.gap(frame);
      case "presence":
        return room?.changed(frame, this.#user);
    }
    this.#parts.changed();
  }

  // What the app asks for.

  join(name: string, options: JoinOptions): RoomHandle {
    const { changed, findSpec } = this.#parts;
    let room = this.#rooms.get(name);
    room?.want(options);
    room ??= new Membership(name, findSpec(name), options);
    this.#rooms.set(name, room);
    changed();
    return new RoomHandle(room, this);
  }

  publish(room: Membership | undefined, event: string, data: unknown, options: PublishOptions): Publishing<Kept> {
    const { echo, key = this.#parts.platform.randomKey() } = options;
    const ask = async (): Promise<Kept> => {
      if (room === undefined || room.state === "left") throw new FanfareError("left");
      const fault = checkEvent(room.name, room.spec?.events, event, data);
      if (fault !== undefined) throw fault;
      const request = { type: "publish", key, room: room.name, event, data: data ?? null, echo };
      try {
        const { offset, cursor, duplicate = false, result = null } = await this.#ask(this.#publishes, request, Infinity);
        return { offset, cursor, duplicate, result } as Kept;
      } finally {
        // A room whose last handle was left is kept until what was published there is settled.
        this.#release(room);
      }
    };
    return Object.assign(ask(), { key });
  }

  signal(room: Membership, event: string, data: unknown): boolean {
    const { line, platform } = this.#parts;
    const fault = checkEvent(room.name, room.spec?.signals, event, data);
    if (fault !== undefined) throw fault;
    const text = frameText({ type: "signal", room: room.name, event, data: data ?? null });
    if (room.state !== "joined" || line.bufferedBytes > maxBufferedForSignals || !this.#fits(text)) return false;
    const now = platform.now();
    if (now < this.#pacer.readyAt(1, now)) return false;
    this.#pacer.spend(1);
    line.send(text);
    return true;
  }

  history(room: string, before: number | undefined, limit: number): Promise<HistoryFrame> {
    const { platform, timing } = this.#parts;
    return this.#ask(this.#pages, { type: "history", room, before, limit }, platform.now() + timing.requestMs);
  }

  setPresence(room: Membership, data: unknown): void {
    room.setData(data ?? null);
    this.#parts.changed();
  }

  leave(room: Membership): void {
    // After a moment: a part of the app that is replaced by another (a component mounted anew) costs no arrival.
    queueMicrotask(() => this.#release(room));
  }

  listenerFailed(cause: unknown): void {
    this.#parts.listenerFailed(cause);
  }

  #ask<A>(requests: Requests<A>, frame: { readonly type: string; readonly room: string; readonly [field: string]: unknown }, until: number): Promise<A> {
    return new Promise((resolve, reject) => {
      if (this.#givenUp) throw new FanfareError("stopped", { room: frame.room });
      const id = this.#nextId();
      requests.add({ id, room: frame.room, text: frameText({ ...frame, id }), resolve, reject, until });
      this.#parts.changed();
    });
  }

  /**
   * Sends what is due: joins, then pages of history, then presence, then publishes. Returns when to call it next, apart
   * from answers and what the app does.
   */
  flush(now: number): number {
    let next = Infinity;
    const due = (at: number): boolean => {
      if (at > now) next = Math.min(next, at);
      return at <= now;
    };
    const paced = (cost: number) => (text: string): boolean => {
      const { line } = this.#parts;
      if (!due(line.bufferedBytes < maxBufferedBytes ? this.#pacer.readyAt(cost, now) : now + fullSocketMs)) return false;
      this.#pacer.spend(cost);
      line.send(text);
      return true;
    };
    const send = paced(1);
    for (const room of this.#isOnline ? this.#rooms.values() : []) {
      if (room.wantsJoin && !room.asked() && due(room.notBefore)) this.#join(room, send);
    }
    this.#pages.flush(now, { due, isOpen: () => this.#isOnline, send: paced(historyCost) });
    for (const room of this.#rooms.values()) {
      if (room.state === "joined" && room.wantsPresenceSent) this.#sendPresence(room, send);
    }
    this.#publishes.flush(now, { due, isOpen: (room) => this.#rooms.get(room)?.state === "joined", send });
    return next;
  }

  #join(room: Membership, send: (text: string) => boolean): void {
    const text = room.joinFrame(this.#nextId());
    if (!this.#fits(text)) return this.#end(room, new FanfareError("too_big", { room: room.name }));
    // P-63: the first ones after `welcome` are free.
    if (this.#freeJoins-- > 0) this.#parts.line.send(text);
    else if (!send(text)) room.retryJoin(0);
  }

  #sendPresence(room: Membership, send: (text: string) => boolean): void {
    const text = room.presenceFrame();
    if (!this.#fits(text)) room.tell("error", new FanfareError("too_big", { room: room.name }));
    else if (!send(text)) room.wantsPresenceSent = true;
  }

  /** P-62: a frame over the limit would end the connection. */
  #fits(text: string): boolean {
    return utf8Bytes(text) <= this.#messageBytes;
  }

  #nextId(): string {
    return String(++this.#ids);
  }

  #refused(frame: ErrorFrame, named: Membership | undefined): void {
    const { platform, timing, error } = this.#parts;
    const { re, code, retry_after_ms = 0 } = frame;
    const now = platform.now();
    const pause = (until: number): void => this.#pacer.pause(until);
    if (this.#publishes.refuse(frame, now, pause) || this.#pages.refuse(frame, now, pause)) return;
    const fault = errorOf(frame);
    // An error need not name the room whose join it refuses.
    const asker = [...this.#rooms.values()].find((room) => re !== undefined && room.asked(re));
    if (asker !== undefined && (code === "unavailable" || code === "rate_limited")) {
      const backoff = backoffMs(asker.failures++, platform.random(), timing);
      asker.retryJoin(now + Math.min(Math.max(retry_after_ms, backoff), timing.maxHintMs));
    } else if (asker?.state === "joining") {
      this.#end(asker, fault);
    } else if (named !== undefined) {
      named.tell("error", fault);
    } else {
      error(fault);
    }
  }

  #removed(room: Membership, reason: "forbidden" | "removed"): void {
    this.#end(room, new FanfareError(reason === "removed" ? "left" : reason, { room: room.name }), reason);
  }

  /** P-26: the membership is over, and only a new `join` of the app begins another. */
  #end(room: Membership, error: FanfareError, reason: Left["reason"] = error.code): void {
    this.#rooms.delete(room.name);
    this.#publishes.fail(error, (name) => name === room.name);
    room.end(reason, error);
  }

  /** Leaves a room that no handle holds, once nothing waits to be published there. */
  #release(room: Membership): void {
    const { name } = room;
    if (room.emitters.size > 0 || this.#rooms.get(name) !== room || this.#publishes.has(name)) return;
    this.#rooms.delete(name);
    if (room.state === "joining" && !room.asked()) return;
    this.#pacer.spend(1);
    this.#parts.line.send({ type: "leave", room: name });
  }

  /**
   * A key protects a repeat only for the same user (P-31), and what one user wrote must not go out in another's name.
   * Anonymous users whose name changed are still the same person.
   */
  #noteUser(user: string): void {
    const before = this.#user;
    this.#user = user;
    if (before === "" || before === user) return;
    const samePerson = before.startsWith("~") && user.startsWith("~");
    this.#publishes.fail(new FanfareError("user_changed"), (_, unsure) => unsure || !samePerson);
  }
}

/** Throws a FanfareError where the data cannot be JSON. */
function frameText(frame: object): string {
  try {
    return JSON.stringify(frame);
  } catch (cause) {
    throw new FanfareError("invalid_data", { cause });
  }
}
