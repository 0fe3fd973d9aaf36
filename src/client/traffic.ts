import type { FindSpec } from "./checks.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { Emitter } from "./emitter.ts";
import type { Line, LineUser } from "./line.ts";
import { createMembership, type Membership } from "./membership.ts";
import { createPacer } from "./pacer.ts";
import type { ClientLimits, ClientTiming, Platform } from "./platform.ts";
import { createRequests, utf8Bytes, type Answers, type Kind, type Request } from "./requests.ts";
import { createRoom, type RoomOwner } from "./room.ts";
import type { ClientEvents, JoinOptions, Left, Room } from "./types.ts";

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

/** While more than this waits in the socket, signals are dropped. What publishes may add to it is bounded by their line. */
const maxBufferedBytes = 65_536;

export function createTraffic(parts: TrafficParts): Traffic {
  const { platform, timing, limits, findSpec, line, emitter, changed, listenerFailed } = parts;
  const rooms = new Map<string, Membership>();
  const pacer = createPacer();
  const requests = createRequests(limits, timing, platform.random);
  let isOnline = false;
  let ownUser = "";
  let messageBytes = 0;
  let repeatMs = 0;
  let freeJoins = 0;
  let ids = 0;
  /** Nobody is going to connect: what would wait for it is refused. */
  let isGivenUp = false;

  const owner: RoomOwner = {
    randomKey: platform.randomKey,
    lateAt: () => platform.now() + timing.requestMs,
    listenerFailed,
    release,
    request: (kind, frame, until) =>
      new Promise((resolve, reject) => {
        const { room } = frame;
        if (isGivenUp) throw new FanfareError("stopped", { room });
        // Written once: the data is what it was when the app gave it, and the same at every sending.
        const written = frameText(frame).slice(1);
        ask({ kind, room, text: (id) => `{"id":"${id}",${written}`, resolve, reject }, until);
      }),
    sendNow(frame) {
      const text = frameText(frame);
      const now = platform.now();
      const isFull = line.bufferedBytes > maxBufferedBytes || utf8Bytes(text) > messageBytes;
      if (isFull || now < pacer.readyAt(1, now)) return false;
      pacer.spend(1);
      line.send(text);
      return true;
    },
    setPresence(room, data) {
      const isWaiting = room.hasNewData;
      room.setData(data);
      // Until it is sent, newer data takes its place.
      if (room.state === "joined" && !isWaiting) askPresence(room);
    },
  };

  function ask<K extends Kind>(request: Omit<Request<K>, "id" | "until">, until = Infinity): void {
    requests.add({ ...request, id: String(++ids), until });
    changed();
  }

  function askJoin(room: Membership): void {
    const resolve = (frame: Answers["join"]): void => {
      room.joined(frame);
      if (room.hasNewData) askPresence(room);
    };
    const reject = (error: FanfareError): void => {
      // A further join, for presence, that was refused leaves the room as it was.
      if (room.state === "joined") room.tell("error", error);
      else if (rooms.get(room.name) === room) end(room, error);
    };
    ask({ kind: "join", room: room.name, text: (id) => room.joinFrame(id), resolve, reject });
  }

  function askPresence(room: Membership): void {
    const reject = (error: FanfareError): void => {
      if (room.state === "joined") room.tell("error", error);
    };
    ask({ kind: "presence", room: room.name, text: (id) => room.presenceFrame(id), resolve() {}, reject });
  }

  /** Leaves a room that no handle holds, once nothing waits to be published there. */
  function release(room: Membership): void {
    const { name, emitters } = room;
    if (emitters.size > 0 || rooms.get(name) !== room || requests.hasPublishes(name)) return;
    rooms.delete(name);
    requests.fail(new FanfareError("left", { room: name }), (request) => request.room === name);
    if (!isOnline) return;
    pacer.spend(1);
    line.send({ type: "leave", room: name });
  }

  /** P-26: the membership is over, and only a new `join` of the app begins another. */
  function end(room: Membership, error: FanfareError, reason: Left["reason"] = error.code): void {
    rooms.delete(room.name);
    room.end(reason, error);
    requests.fail(error, (request) => request.room === room.name);
  }

  // What is sent, when.

  function flush(now: number): number {
    let next = Infinity;
    const due = (at: number): boolean => {
      if (at > now) next = Math.min(next, at);
      return at <= now;
    };
    const send = (text: string, kind: Kind): boolean => {
      // P-63: the first joins after `welcome` are free.
      const cost = kind === "join" && freeJoins-- > 0 ? 0 : kind === "history" ? 10 : 1;
      if (cost && !due(pacer.readyAt(cost, now))) return false;
      pacer.spend(cost);
      line.send(text);
      return true;
    };
    requests.flush(now, { due, send, isOpen: isOnline, messageBytes, repeatMs });
    return next;
  }

  // What arrives.

  return {
    join(name, options) {
      const known = rooms.get(name);
      const room = known ?? createMembership(name, findSpec(name), options);
      rooms.set(name, room);
      if (!known || known.wants(options)) askJoin(room);
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
      // A key protects a repeat only for the same user (P-31), and what one wrote must not go out in another's name.
      if (ownUser && ownUser !== user) {
        requests.fail(new FanfareError("user_changed"), ({ kind }) => kind === "publish");
      }
      ownUser = user;
    },
    suspend() {
      isOnline = false;
      requests.suspend();
      for (const room of rooms.values()) if (room.suspend()) askJoin(room);
    },
    giveUp() {
      isGivenUp = true;
      requests.fail(new FanfareError("stopped"), ({ kind }) => kind !== "join");
    },
    frame(frame) {
      if (requests.answer(frame, platform.now(), pacer.pause)) return changed();
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
        case "error":
          if (room) room.tell("error", errorOf(frame));
          else emitter.emit("error", errorOf(frame));
          return;
        case "left": {
          const { reason } = frame;
          // Without a reason it answers a `leave`, and that membership is over already.
          if (room?.state !== "joined" || !reason) return;
          end(room, new FanfareError(reason === "removed" ? "left" : reason, { room: name }), reason);
        }
      }
    },
  };
}

/** Throws a FanfareError where the data cannot be JSON. */
function frameText(frame: object): string {
  try {
    return JSON.stringify(frame);
  } catch (cause) {
    throw new FanfareError("invalid_data", { cause });
  }
}
