import type { AckFrame, ErrorFrame, HistoryFrame, ServerFrame } from "../protocol/frames.ts";
import { utf8Bytes } from "../protocol/names.ts";
import { checkEvent, type FindSpec } from "./checks.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError, hintOf } from "./errors.ts";
import type { WelcomeFrame } from "./line.ts";
import { Membership } from "./membership.ts";
import { Outbox } from "./outbox.ts";
import { Pacer } from "./pacer.ts";
import { Pages } from "./pages.ts";
import type { ClientLimits, ClientTiming, Platform } from "./platform.ts";
import { RoomHandle, type RoomOwner } from "./room.ts";
import type { JoinOptions, Kept, PublishOptions, Publishing } from "./types.ts";

export interface TrafficParts {
  readonly platform: Platform;
  readonly timing: ClientTiming;
  readonly limits: ClientLimits;
  readonly findSpec: FindSpec;
  readonly line: { readonly bufferedBytes: number; send(text: string): void };
  /** There may be something to flush: `flush` is to be called soon, once for many of these. */
  changed(): void;
  error(error: FanfareError): void;
  listenerFailed(cause: unknown): void;
}

/** While more than this waits in the socket, no publish is added; signals are dropped far earlier. */
const maxBufferedBytes = 1_048_576;
const maxBufferedForSignals = 65_536;
/** P-63. */
const historyCost = 10;

/** The rooms of a client and all that is asked of the server for them, in order and within its limits. */
export class Traffic implements RoomOwner {
  readonly #parts: TrafficParts;
  readonly #rooms = new Map<string, Membership>();
  readonly #outbox: Outbox;
  readonly #pages: Pages;
  readonly #pacer = new Pacer();
  #welcome: WelcomeFrame | undefined;
  #user: string | undefined;
  #freeJoins = 0;
  #ids = 0;
  /** Nobody is going to connect: what would wait for it is refused. */
  #givenUp = false;

  constructor(parts: TrafficParts) {
    this.#parts = parts;
    this.#outbox = new Outbox(parts.limits, parts.timing, parts.platform.random);
    this.#pages = new Pages(parts.limits, parts.timing);
  }

  // What the line tells.

  begin(): void {
    this.#givenUp = false;
  }

  resume(welcome: WelcomeFrame): void {
    const { limits, user } = welcome;
    this.#welcome = welcome;
    this.#freeJoins = limits.rooms;
    this.#pacer.reset(limits.requests_per_s, this.#parts.platform.now());
    this.#outbox.configure(limits.dedupe_ms, limits.message_bytes);
    this.#noteUser(user);
    this.#parts.changed();
  }

  suspend(): void {
    this.#welcome = undefined;
    this.#outbox.suspend();
    this.#pages.suspend();
    for (const room of this.#rooms.values()) room.suspend();
  }

  giveUp(): void {
    const error = new FanfareError("stopped", "the client was closed or stopped");
    this.#givenUp = true;
    this.#outbox.fail(error);
    this.#pages.fail(error);
  }

  frame(frame: ServerFrame): void {
    if (frame.type === "ack" || frame.type === "error" || frame.type === "history") this.#answered(frame);
    else if ("room" in frame && frame.room !== undefined) this.#inRoom(frame, this.#rooms.get(frame.room));
  }

  // What the app asks for.

  join(name: string, options: JoinOptions): RoomHandle {
    const { changed, findSpec } = this.#parts;
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = new Membership(name, findSpec(name), options);
      this.#rooms.set(name, room);
    } else {
      room.want(options);
    }
    changed();
    return new RoomHandle(room, this);
  }

  publish(room: Membership | undefined, event: string, data: unknown, options: PublishOptions): Publishing<Kept> {
    const { echo, key = this.#parts.platform.randomKey() } = options;
    const kept = new Promise<Kept>((resolve, reject) => {
      if (room === undefined || room.state === "left") throw new FanfareError("left", "the room was left");
      if (this.#givenUp) throw new FanfareError("stopped", "the client was closed or stopped", { room: room.name });
      const fault = checkEvent(room.name, room.spec?.events, event, data);
      if (fault !== undefined) throw fault;
      const id = this.#nextId();
      const text = frameText({ type: "publish", id, key, room: room.name, event, data: data ?? null, echo });
      this.#outbox.add({ id, room: room.name, text, resolve, reject });
    });
    if (room !== undefined) {
      // A room whose last handle was left is kept until what was published there is settled.
      const settled = (): void => this.#release(room);
      kept.then(settled, settled);
      this.#parts.changed();
    }
    return Object.assign(kept, { key });
  }

  signal(room: Membership, event: string, data: unknown): boolean {
    const { line, platform } = this.#parts;
    const fault = checkEvent(room.name, room.spec?.signals, event, data);
    if (fault !== undefined) throw fault;
    if (room.state !== "joined" || line.bufferedBytes > maxBufferedForSignals) return false;
    const text = frameText({ type: "signal", room: room.name, event, data: data ?? null });
    if (!this.#fits(text) || !this.#pacer.take(1, platform.now())) return false;
    line.send(text);
    return true;
  }

  history(room: string, before: number | undefined, limit: number): Promise<HistoryFrame> {
    return new Promise((resolve, reject) => {
      if (this.#givenUp) throw new FanfareError("stopped", "the client was closed or stopped", { room });
      const id = this.#nextId();
      const text = frameText({ type: "history", id, room, before, limit });
      this.#pages.add({ id, room, text, resolve, reject }, this.#parts.platform.now());
      this.#parts.changed();
    });
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

  // What is sent, when.

  /** Sends what is due: joins, then pages of history, then presence, then publishes. */
  flush(now: number): void {
    this.#outbox.expire(now);
    this.#pages.expire(now);
    if (this.#welcome === undefined) return;
    for (const room of this.#rooms.values()) {
      if (room.wantsJoin && !room.asked() && now >= room.notBefore) this.#join(room, now);
    }
    if (!this.#pages.flush(now, (text) => this.#paced(text, historyCost, now))) return;
    for (const room of this.#rooms.values()) if (sendsPresence(room)) this.#sendPresence(room, now);
    this.#outbox.flush(now, { canSend: this.#canPublish, send: (text) => this.#paced(text, 1, now) });
  }

  /** When `flush` is next to be called, apart from answers and what the app does. */
  nextAt(now: number): number {
    const online = this.#welcome !== undefined;
    const readyAt = this.#pacer.readyAt(1, now);
    // Where the socket is full, only time tells when it is not.
    const roomy = this.#parts.line.bufferedBytes < maxBufferedBytes ? readyAt : now + 50;
    let next = this.#pages.nextAt(now, this.#pacer.readyAt(historyCost, now), online);
    for (const room of online ? this.#rooms.values() : []) {
      if (room.wantsJoin && !room.asked()) next = Math.min(next, Math.max(readyAt, room.notBefore));
      if (sendsPresence(room)) next = Math.min(next, readyAt);
    }
    return Math.min(next, this.#outbox.nextAt(now, roomy, this.#canPublish));
  }

  #canPublish = (name: string): boolean => this.#welcome !== undefined && this.#rooms.get(name)?.state === "joined";

  #join(room: Membership, now: number): void {
    if (this.#freeJoins > 0) this.#freeJoins--;
    else if (!this.#pacer.take(1, now)) return;
    const text = room.joinFrame(this.#nextId());
    if (this.#fits(text)) return this.#parts.line.send(text);
    this.#end(room, new FanfareError("too_big", "the presence data is over the server's limit", { room: room.name }));
  }

  #sendPresence(room: Membership, now: number): void {
    if (!this.#pacer.take(1, now)) return;
    const text = room.presenceFrame(this.#nextId());
    if (this.#fits(text)) return this.#parts.line.send(text);
    room.presenceId = undefined;
    room.tell("error", new FanfareError("too_big", "the presence data is over the server's limit", { room: room.name }));
  }

  #paced(text: string, cost: number, now: number): boolean {
    const { line } = this.#parts;
    if (line.bufferedBytes >= maxBufferedBytes || !this.#pacer.take(cost, now)) return false;
    line.send(text);
    return true;
  }

  /** P-62: a frame over the limit would end the connection. */
  #fits(text: string): boolean {
    return this.#welcome !== undefined && utf8Bytes(text) <= this.#welcome.limits.message_bytes;
  }

  #nextId(): string {
    return String(++this.#ids);
  }

  // What arrives.

  #answered(frame: AckFrame | ErrorFrame | HistoryFrame): void {
    const { platform, changed, error } = this.#parts;
    const now = platform.now();
    changed();
    if (frame.type === "history") return void this.#pages.answer(frame, now);
    if (this.#outbox.answer(frame, now, (ms) => this.#pacer.pause(now + ms))) return;
    const room = this.#rooms.get(frame.room ?? "") ?? this.#asker(frame.re);
    if (frame.re !== undefined && room?.presenceId === frame.re) room.presenceId = undefined;
    if (frame.type === "ack" || this.#pages.answer(frame, now)) return;
    if (room !== undefined && frame.re !== undefined && room.asked(frame.re)) this.#joinRefused(room, frame, now);
    else if (room !== undefined) room.tell("error", errorOf(frame));
    else error(errorOf(frame));
  }

  /** An error need not name the room whose request it answers. */
  #asker(re: string | undefined): Membership | undefined {
    if (re === undefined) return undefined;
    return [...this.#rooms.values()].find((room) => room.asked(re) || room.presenceId === re);
  }

  #joinRefused(room: Membership, frame: ErrorFrame, now: number): void {
    const { timing, platform } = this.#parts;
    const hintMs = Math.min(hintOf(frame.retry_after_ms), timing.maxHintMs);
    if (frame.code === "unavailable" || frame.code === "rate_limited") {
      room.retryJoin(now + Math.max(hintMs, backoffMs(room.failures++, platform.random(), timing)));
    } else if (room.state === "joined") {
      room.tell("error", errorOf(frame));
    } else {
      this.#end(room, errorOf(frame));
    }
  }

  #inRoom(frame: ServerFrame, room: Membership | undefined): void {
    if (room === undefined) return;
    switch (frame.type) {
      case "joined":
        room.joined(frame);
        return this.#parts.changed();
      case "left":
        // Without a reason it answers a `leave`, and that membership is over already.
        if (frame.reason !== undefined && room.state === "joined") this.#removed(room, frame.reason);
        return;
      case "message":
        return room.message(frame);
      case "signal":
        return room.signal(frame);
      case "skip":
        return room.skip(frame.offset);
      case "gap":
        return room.gap(frame);
      case "presence":
        return room.changed(frame, this.#user);
    }
  }

  #removed(room: Membership, reason: "forbidden" | "removed"): void {
    const code = reason === "removed" ? "left" : reason;
    this.#end(room, new FanfareError(code, `out of the room: ${reason}`, { room: room.name }), reason);
  }

  /** P-26: the membership is over, and only a new `join` of the app begins another. */
  #end(room: Membership, error: FanfareError, reason: FanfareError["code"] | "removed" = error.code): void {
    this.#rooms.delete(room.name);
    this.#outbox.fail(error, room.name);
    room.end(reason, error);
  }

  /** Leaves a room that no handle holds, once nothing waits to be published there. */
  #release(room: Membership): void {
    const { name } = room;
    if (room.emitters.size > 0 || this.#rooms.get(name) !== room || this.#outbox.has(name)) return;
    this.#rooms.delete(name);
    if (this.#welcome === undefined || (room.state === "joining" && !room.asked())) return;
    this.#pacer.spend(1);
    this.#parts.line.send(frameText({ type: "leave", room: name }));
  }

  /**
   * A key protects a repeat only for the same user (P-31), and what one user wrote must not go out in another's name.
   * Anonymous users whose name changed are still the same person.
   */
  #noteUser(user: string): void {
    const before = this.#user;
    this.#user = user;
    if (before === undefined || before === user) return;
    const error = new FanfareError("user_changed", "connected as another user");
    if (before.startsWith("~") && user.startsWith("~")) this.#outbox.failUnsure(error);
    else this.#outbox.fail(error);
  }
}

function sendsPresence(room: Membership): boolean {
  return room.state === "joined" && room.wantsPresenceSent && room.presenceId === undefined;
}

/** Throws a FanfareError where the data cannot be JSON. */
function frameText(frame: object): string {
  try {
    return JSON.stringify(frame);
  } catch (cause) {
    throw new FanfareError("invalid_data", "the data cannot be written as JSON", { cause });
  }
}
