import { formatCursor, parseCursor, type Cursor } from "../protocol/cursor.ts";
import type { RoomSpec, Schemas } from "../protocol/contract.ts";
import type { GapFrame, JoinedFrame, MessageFrame, PresenceFrame, Right, ServerFrame } from "../protocol/frames.ts";
import { checkData, checkEvent } from "./checks.ts";
import type { Emitter } from "./emitter.ts";
import type { FanfareError } from "./errors.ts";
import { applyPresence, type PresenceList } from "./presence.ts";
import type { JoinOptions, Left, RoomEvents, RoomState } from "./types.ts";

/**
 * This client's part in one room, shared by all handles and outliving connections: what to ask for, the position in the
 * log, who is there. Nothing here sends.
 */
export interface Membership {
  readonly name: string;
  readonly spec: RoomSpec | undefined;
  /** One for each handle. */
  readonly emitters: Set<Emitter<RoomEvents>>;
  readonly state: RoomState;
  readonly presence: PresenceList;
  readonly members: number;
  readonly rights: readonly Right[];
  readonly cursor: string | undefined;
  /** The presence data changed and is yet to be sent. */
  readonly hasNewData: boolean;
  /** Whether a handle with these options needs another join: presence is had once any wants it (P-24: no second arrival). */
  wants(options: JoinOptions): boolean;
  /** Throws where the data breaks the contract. */
  setData(data: unknown): void;
  joinFrame(id: string): string;
  presenceFrame(id: string): string;
  /** The connection is gone. What was known stays to be seen, and the position to resume from. True where it was joined. */
  suspend(): boolean;
  /** Not to be repeated: an operator's removal, or a refusal. */
  end(reason: Left["reason"], error: FanfareError): void;
  tell<E extends keyof RoomEvents>(event: E, value: RoomEvents[E]): void;
  joined(frame: JoinedFrame): void;
  /** What is sent into a joined room. `user` is this client's own. */
  take(frame: ServerFrame, user: string): void;
}

interface AnyEvent {
  readonly event: string;
  readonly data: unknown;
  readonly replay?: boolean;
}
type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function createMembership(name: string, spec: RoomSpec | undefined, options: JoinOptions): Membership {
  const { since: firstSince, history } = options;
  // From an earlier life of the app, which saves it again if this one ends before the room is joined.
  let position = parseCursor(firstSince);
  let wantsPresence = false;
  let ownData: unknown;
  /** What the join under way asked to resume from. */
  let since: string | undefined;
  let replayLeft = 0;
  let wasJoined = false;

  const room: Writable<Membership> = {
    name,
    spec,
    emitters: new Set(),
    state: "joining",
    presence: new Map(),
    members: 0,
    rights: [],
    hasNewData: false,
    get cursor() {
      return position && formatCursor(position);
    },
    wants({ presence }) {
      const isNew = !wantsPresence && !!presence;
      wantsPresence ||= isNew;
      return isNew;
    },
    setData(data) {
      const fault = checkData(name, spec?.presence, data);
      if (fault) throw fault;
      // What later joins send is what was given now, whatever the app does to its object.
      ownData = JSON.parse(JSON.stringify(data ?? null));
      room.hasNewData = true;
    },
    joinFrame(id) {
      const begins = room.state === "joining";
      since = begins ? (room.cursor ?? firstSince) : undefined;
      return ownFrame({ type: "join", id, since, history: begins ? history : undefined, presence: wantsPresence });
    },
    presenceFrame: (id) => ownFrame({ type: "presence", id }),
    suspend: () => room.state === "joined" && enter("joining"),
    end(reason, error) {
      enter("left");
      room.tell("left", { reason, error });
    },
    tell(event, value) {
      for (const emitter of [...room.emitters]) emitter.emit(event, value);
    },
    joined(frame) {
      const { cursor, replay, recovered, presence, members, rights } = frame;
      const begins = room.state === "joining";
      const isLost = begins && (wasJoined || since) && recovered !== true;
      wasJoined = true;
      position = parseCursor(cursor);
      // P-24: a join for presence alone leaves an earlier replay running.
      if (begins) replayLeft = replay;
      room.rights = rights;
      enter("joined");
      room.tell("joined", frame);
      // P-22: told after `joined`, so that what the app loads now cannot be older than what follows.
      if (isLost) room.tell("reset", { cursor, reason: whyLost() });
      applyFrame({ type: "presence", room: name, members, all: presence ?? [] });
    },
    take(frame, user) {
      switch (frame.type) {
        case "message":
          return message(frame);
        case "signal":
          return deliver("signal", spec?.signals, frame);
        case "skip":
          if (position && frame.offset > position.offset) position = { ...position, offset: frame.offset };
          return;
        case "gap":
          return gap(frame);
        case "presence":
          applyFrame(frame);
          // P-40: another tab of this user may have changed the data. A rejoin from here must not put the old back.
          if (!room.hasNewData && ownData !== undefined && room.presence.has(user)) ownData = room.presence.get(user);
          return;
        default:
      }
    },
  };
  room.wants(options);
  if (options.data !== undefined) room.setData(options.data);
  return room;

  function message(frame: MessageFrame): void {
    const { offset } = frame;
    const replay = replayLeft > 0;
    if (replay) replayLeft--;
    if (offset !== undefined && position) {
      if (offset <= position.offset) return;
      const before = frame.prev ?? offset - 1;
      // A server announces what it leaves out (P-32); one that did not is told of, never hidden.
      if (before > position.offset) moveOver({ ...position, offset: before }, "unknown");
      position = { ...position, offset };
    }
    deliver("message", spec?.events, { ...frame, replay });
  }

  function gap({ cursor, reason }: GapFrame): void {
    const next = parseCursor(cursor);
    // A room without a log has no position, and its gaps have no cursor: then all that can be told is that there was one.
    if (!next && position) return;
    replayLeft = 0;
    if (position?.epoch !== next?.epoch || reason === "epoch") {
      position = next;
      room.tell("reset", { cursor, reason: "epoch" });
    } else if (!next || next.offset > (position as Cursor).offset) {
      moveOver(next, reason);
    }
  }

  function ownFrame(frame: object): string {
    room.hasNewData = false;
    return JSON.stringify({ ...frame, room: name, data: ownData });
  }

  function enter(state: RoomState): true {
    if (room.state !== state) {
      room.state = state;
      room.tell("state", state);
    }
    return true;
  }

  function whyLost(): "epoch" | "trimmed" | "unkept" {
    if (!position) return "unkept";
    return since?.startsWith(`${position.epoch}:`) ? "trimmed" : "epoch";
  }

  function moveOver(next: Cursor | undefined, reason: "slow" | "trimmed" | "unknown"): void {
    const after = room.cursor;
    position = next;
    room.tell("gap", { after, cursor: room.cursor, reason });
  }

  function applyFrame(frame: PresenceFrame): void {
    const { list, change } = applyPresence(room.presence, frame);
    room.presence = list;
    room.members = frame.members;
    room.tell("presence", change);
  }

  function deliver(kind: "message" | "signal", schemas: Schemas | undefined, value: AnyEvent): void {
    const fault = checkEvent(name, schemas, value.event, value.data);
    if (fault) room.tell("error", fault);
    else room.tell(kind, value as never);
  }
}
