import type { AckFrame, ErrorFrame, HistoryFrame } from "../protocol/frames.ts";
import { utf8Bytes } from "../protocol/names.ts";
import { checkEvent, type FindSpec } from "./checks.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { Emitter } from "./emitter.ts";
import type { Line, LineUser } from "./line.ts";
import { Membership } from "./membership.ts";
import { createPacer } from "./pacer.ts";
import type { ClientLimits, ClientTiming, Platform } from "./platform.ts";
import { createRequests, type Requests } from "./requests.ts";
import { createRoom, type RoomOwner } from "./room.ts";
import type { ClientEvents, JoinOptions, Kept, Left, Room } from "./types.ts";

export interface TrafficParts {
  readonly platform: Platform;
  readonly timing: ClientTiming;
  readonly limits: ClientLimits;
  readonly findSpec: FindSpec;
  readonly line: Line;
  readonly emitter: Emitter<ClientEvents>;
  /** There may be something to flush: `flush` is to be called soon, once for many of these. */
  changed(): void;
  listenerFailed(cause: unknown): void;
}

/** The rooms of a client and all that is asked of the server for them, in order and within its limits. */
export interface Traffic extends LineUser {
  join(name: string, options: JoinOptions): Room;
  /**
   * Sends what is due: joins, then pages of history, then presence, then publishes. Returns when to call it next, apart
   * from answers and what the app does.
   */
  flush(now: number): number;
}

/** While more than this waits in the socket, no publish is added; signals are dropped far earlier. */
const maxBufferedBytes = 1_048_576;
const maxBufferedForSignals = 65_536;
/** How soon to look again at a socket that was full: nothing tells. */
const fullSocketMs = 50;
/** P-63. */
const historyCost = 10;

export function createTraffic(parts: TrafficParts): Traffic {
  const { platform, timing, limits, findSpec, line, emitter, changed, listenerFailed } = parts;
  const { queuedPublishes, queuedBytes, queuedHistory, inFlight } = limits;
  const rooms = new Map<string, Membership>();
  const pacer = createPacer();
  const publishes = createRequests<AckFrame>(
    { maxCount: queuedPublishes, maxBytes: queuedBytes, inFlight, late: "outcome_unknown" },
    timing,
    platform.random,
  );
  const pages = createRequests<HistoryFrame>(
    { maxCount: queuedHistory, maxBytes: queuedBytes, inFlight: queuedHistory, late: "timeout" },
    timing,
    platform.random,
  );
  let isOnline = false;
  let ownUser = "";
  let messageBytes = 0;
  let repeatMs = 0;
  let freeJoins = 0;
  let ids = 0;
  /** Nobody is going to connect: what would wait for it is refused. */
  let isGivenUp = false;

  const nextId = (): string => String(++ids);
  /** P-62: a frame over the limit would end the connection. */
  const fits = (text: string): boolean => utf8Bytes(text) <= messageBytes;

  // What handles ask for.

  const owner: RoomOwner = {
    publish(room, event, data, { echo, key = platform.randomKey() }) {
      const ask = async (): Promise<Kept> => {
        if (!room || room.state === "left") throw new FanfareError("left");
        const { name, spec } = room;
        const fault = checkEvent(name, spec?.events, event, data);
        if (fault) throw fault;
        const frame = { type: "publish", room: name, key, event, data: data ?? null, echo };
        try {
          const { offset, cursor, duplicate = false, result = null } = await request(publishes, frame, Infinity);
          return { offset, cursor, duplicate, result } as Kept;
        } finally {
          // A room whose last handle was left is kept until what was published there is settled.
          release(room);
        }
      };
      return Object.assign(ask(), { key });
    },
    signal(room, event, data) {
      const { name, spec, state } = room;
      const fault = checkEvent(name, spec?.signals, event, data);
      if (fault) throw fault;
      const text = frameText({ type: "signal", room: name, event, data: data ?? null });
      if (state !== "joined" || line.bufferedBytes > maxBufferedForSignals || !fits(text)) return false;
      const now = platform.now();
      if (now < pacer.readyAt(1, now)) return false;
      pacer.spend(1);
      line.send(text);
      return true;
    },
    history: (room, before, limit) =>
      request(pages, { type: "history", room, before, limit }, platform.now() + timing.requestMs),
    changed,
    leave(room) {
      // After a moment: a part of the app that is replaced by another (a component mounted anew) costs no arrival.
      queueMicrotask(() => release(room));
    },
    listenerFailed,
  };

  function request<A>(requests: Requests<A>, frame: AnyRequest, until: number): Promise<A> {
    return new Promise((resolve, reject) => {
      const { room } = frame;
      if (isGivenUp) throw new FanfareError("stopped", { room });
      const id = nextId();
      requests.add({ id, room, text: frameText({ ...frame, id }), resolve, reject, until });
      changed();
    });
  }

  /** Leaves a room that no handle holds, once nothing waits to be published there. */
  function release(room: Membership): void {
    const { name, emitters } = room;
    if (emitters.size > 0 || rooms.get(name) !== room || publishes.has(name)) return;
    rooms.delete(name);
    if (room.state === "joining" && !room.asked()) return;
    pacer.spend(1);
    line.send({ type: "leave", room: name });
  }

  /** P-26: the membership is over, and only a new `join` of the app begins another. */
  function end(room: Membership, error: FanfareError, reason: Left["reason"] = error.code): void {
    rooms.delete(room.name);
    publishes.fail(error, (name) => name === room.name);
    room.end(reason, error);
  }

  // What is sent, when.

  function flush(now: number): number {
    let next = Infinity;
    const due = (at: number): boolean => {
      if (at > now) next = Math.min(next, at);
      return at <= now;
    };
    const paced = (cost: number) => (text: string): boolean => {
      const isFull = line.bufferedBytes >= maxBufferedBytes;
      if (!due(isFull ? now + fullSocketMs : pacer.readyAt(cost, now))) return false;
      pacer.spend(cost);
      line.send(text);
      return true;
    };
    const send = paced(1);
    for (const room of rooms.values()) if (isOnline) prepareRoom(room, due, send);
    const isOpen = (name: string): boolean => rooms.get(name)?.state === "joined";
    pages.flush(now, { due, isOpen: () => isOnline, send: paced(historyCost), messageBytes, repeatMs: Infinity });
    publishes.flush(now, { due, isOpen, send, messageBytes, repeatMs });
    return next;
  }

  /** The join and the presence data that a room still owes the server. */
  function prepareRoom(room: Membership, due: (at: number) => boolean, send: (text: string) => boolean): void {
    if (room.wantsJoin && !room.asked() && due(room.notBefore)) {
      const text = room.joinFrame(nextId());
      if (!fits(text)) return end(room, new FanfareError("too_big", { room: room.name }));
      // P-63: the first ones after `welcome` are free.
      if (freeJoins-- > 0) line.send(text);
      else if (!send(text)) room.retryJoin(0);
    }
    if (room.state === "joined" && room.wantsPresenceSent) {
      const text = room.presenceFrame();
      if (!fits(text)) room.tell("error", new FanfareError("too_big", { room: room.name }));
      else if (!send(text)) room.wantsPresenceSent = true;
    }
  }

  // What arrives.

  function refused(frame: ErrorFrame, named: Membership | undefined): void {
    const { re, code, retry_after_ms = 0 } = frame;
    const now = platform.now();
    if (publishes.refuse(frame, now, pacer.pause) || pages.refuse(frame, now, pacer.pause)) return;
    const fault = errorOf(frame);
    // An error need not name the room whose join it refuses.
    const asker = [...rooms.values()].find((room) => re && room.asked(re));
    if (asker && (code === "unavailable" || code === "rate_limited")) {
      const backoff = backoffMs(asker.failures++, platform.random(), timing);
      asker.retryJoin(now + Math.min(Math.max(retry_after_ms, backoff), timing.maxHintMs));
    } else if (asker?.state === "joining") {
      end(asker, fault);
    } else if (named) {
      named.tell("error", fault);
    } else {
      emitter.emit("error", fault);
    }
  }

  /**
   * A key protects a repeat only for the same user (P-31), and what one user wrote must not go out in another's name.
   * Anonymous users whose name changed are still the same person.
   */
  function noteUser(user: string): void {
    const isSamePerson = ownUser.startsWith("~") && user.startsWith("~");
    if (ownUser && ownUser !== user) {
      publishes.fail(new FanfareError("user_changed"), (_, isUnsure) => isUnsure || !isSamePerson);
    }
    ownUser = user;
  }

  return {
    join(name, options) {
      let room = rooms.get(name);
      room?.want(options);
      room ??= new Membership(name, findSpec(name), options);
      rooms.set(name, room);
      changed();
      return createRoom(room, owner);
    },
    flush,
    begin() {
      isGivenUp = false;
    },
    resume({ limits, user }) {
      isOnline = true;
      freeJoins = limits.rooms;
      messageBytes = limits.message_bytes;
      // A tenth of the server's time is kept back: a repeat that is sent in time may arrive late.
      repeatMs = limits.dedupe_ms * 0.9;
      pacer.reset(limits.requests_per_s, platform.now());
      noteUser(user);
    },
    suspend() {
      isOnline = false;
      publishes.suspend();
      pages.suspend();
      for (const room of rooms.values()) room.suspend();
    },
    giveUp() {
      const error = new FanfareError("stopped");
      isGivenUp = true;
      publishes.fail(error);
      pages.fail(error);
    },
    frame(frame) {
      const { room: name } = frame as { room?: string };
      const room = rooms.get(name ?? "");
      switch (frame.type) {
        case "signal":
          if (name === undefined) emitter.emit("signal", frame);
          return room?.signal(frame);
        case "message":
          return room?.message(frame);
        case "skip":
          return room?.skip(frame.offset);
        case "gap":
          return room?.gap(frame);
        case "presence":
          return room?.changed(frame, ownUser);
        case "ack":
          publishes.answer(frame.re, frame);
          break;
        case "history":
          pages.answer(frame.re, frame);
          break;
        case "error":
          refused(frame, room);
          break;
        case "joined":
          room?.joined(frame);
          break;
        case "left": {
          const { reason } = frame;
          // Without a reason it answers a `leave`, and that membership is over already.
          if (room?.state !== "joined" || !reason) return;
          end(room, new FanfareError(reason === "removed" ? "left" : reason, { room: name }), reason);
        }
      }
      changed();
    },
  };
}

interface AnyRequest {
  readonly type: string;
  readonly room: string;
  readonly [field: string]: unknown;
}

/** Throws a FanfareError where the data cannot be JSON. */
function frameText(frame: object): string {
  try {
    return JSON.stringify(frame);
  } catch (cause) {
    throw new FanfareError("invalid_data", { cause });
  }
}
