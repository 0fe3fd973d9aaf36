import { errorOf, FanfareError } from "./errors.ts";
import type { FindSpec } from "./checks.ts";
import type { Line, LineUser } from "./line.ts";
import { createMembership, type Membership } from "./membership.ts";
import { createRequests, type Answers } from "./requests.ts";
import { createRoom, type RoomOwner } from "./room.ts";
import type { JoinOptions, Left, Room } from "./types.ts";
import type { World } from "./world.ts";

/** The rooms of a client, and what is asked of the server for them. */
export interface Traffic extends LineUser {
  join(name: string, options: JoinOptions): Room;
  /** Sends what is due. Returns when to call it next, apart from answers and what the app does. */
  flush(): number;
}

export function createTraffic(world: World, line: Line, findSpec: FindSpec): Traffic {
  const { now, timing, emitter, changed } = world;
  const rooms = new Map<string, Membership>();
  const requests = createRequests(world, line);
  let ownUser = "";
  /** Nobody is going to connect: what would wait for it is refused. */
  let isGivenUp = false;

  const owner: RoomOwner = {
    ...world,
    release,
    lateAt: () => now() + timing.requestMs,
    request: (kind, frame, until = Infinity) =>
      new Promise((resolve, reject) => {
        const { room } = frame;
        if (isGivenUp) throw new FanfareError("stopped", { room });
        // Written once: the data is what it was when the app gave it, and the same at every sending.
        const written = frameText(frame).slice(1);
        requests.add({ kind, room, text: (id) => `{"id":"${id}",${written}`, resolve, reject, until });
        changed();
      }),
    sendNow: (frame) => requests.sendNow(frameText(frame)),
    setPresence(room, data) {
      const isWaiting = room.hasNewData;
      room.setData(data);
      // Until it is sent, newer data takes its place.
      if (room.state === "joined" && !isWaiting) askPresence(room);
    },
  };

  function askJoin(room: Membership): void {
    requests.add({
      kind: "join",
      room: room.name,
      text: room.joinFrame,
      resolve(frame: Answers["join"]) {
        room.joined(frame);
        if (room.hasNewData) askPresence(room);
      },
      reject(error) {
        // A further join, for presence, that was refused leaves the room as it was.
        if (room.state === "joined") room.tell("error", error);
        else if (rooms.get(room.name) === room) end(room, error);
      },
      until: Infinity,
    });
    changed();
  }

  function askPresence(room: Membership): void {
    requests.add({
      kind: "presence",
      room: room.name,
      text: room.presenceFrame,
      resolve() {},
      reject(error) {
        if (room.state === "joined") room.tell("error", error);
      },
      until: Infinity,
    });
    changed();
  }

  /** Leaves a room that no handle holds, once nothing waits to be published there. */
  function release(room: Membership): void {
    const { name, emitters } = room;
    if (emitters.size > 0 || rooms.get(name) !== room || requests.hasPublishes(name)) return;
    drop(room, new FanfareError("left", { room: name }));
    // A join that was on its way is undone too; where there was none the server does not mind (P-26).
    if (line.status.state === "online") line.send(frameText({ type: "leave", room: name }));
  }

  function drop({ name }: Membership, error: FanfareError): void {
    rooms.delete(name);
    requests.fail(error, ({ room }) => room === name);
  }

  /** P-26: the membership is over, and only a new `join` of the app begins another. */
  function end(room: Membership, error: FanfareError, reason: Left["reason"] = error.code): void {
    room.end(reason, error);
    drop(room, error);
  }

  return {
    join(name, options) {
      const known = rooms.get(name);
      const room = known ?? createMembership(name, findSpec(name), options);
      rooms.set(name, room);
      if (!known || known.wants(options)) askJoin(room);
      return createRoom(room, owner);
    },
    flush: requests.flush,
    begin() {
      isGivenUp = false;
    },
    resume({ limits, user }) {
      // A key protects a repeat only for the same user (P-31), and what one wrote must not go out in another's name.
      if (ownUser && ownUser !== user)
        requests.fail(new FanfareError("user_changed"), ({ kind }) => kind === "publish");
      ownUser = user;
      requests.resume(limits);
    },
    suspend() {
      requests.suspend();
      for (const room of rooms.values()) if (room.suspend()) askJoin(room);
    },
    giveUp() {
      isGivenUp = true;
      requests.fail(new FanfareError("stopped"), ({ kind }) => kind !== "join");
    },
    frame(frame) {
      if (requests.answer(frame)) return changed();
      const { room: name } = frame as { room?: string };
      const room = rooms.get(name ?? "");
      if (frame.type === "error") {
        if (room) room.tell("error", errorOf(frame));
        else emitter.emit("error", errorOf(frame));
      } else if (frame.type === "signal" && name === undefined) {
        emitter.emit("signal", frame);
      } else if (room?.state === "joined") {
        if (frame.type !== "left") return room.take(frame, ownUser);
        const { reason } = frame;
        // Without a reason it answers a `leave`, and that membership is over already.
        if (reason) end(room, new FanfareError("left", { room: name }), reason);
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
