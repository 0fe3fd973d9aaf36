import { formatCursor, parseCursor, type Cursor } from "../protocol/cursor.ts";
import type { RoomSpec, Schemas } from "../protocol/contract.ts";
import type { JoinedFrame, MessageFrame, PresenceFrame, Right, ServerFrame, SignalFrame } from "../protocol/frames.ts";
import { checkData, checkEvent } from "./checks.ts";
import type { Emitter } from "./emitter.ts";
import type { FanfareError } from "./errors.ts";
import { applyPresence, listOf, type PresenceList } from "./presence.ts";
import type { JoinOptions, Left, PresenceChange, RoomEvents, RoomState } from "./types.ts";

type AnyEvent = { readonly data: unknown } & Readonly<Record<string, unknown>>;
type GapFrame = ServerFrame & { type: "gap" };

/**
 * This client's part in one room, shared by all handles and outliving connections: what to ask for, the position in the
 * log, who is there. Nothing here sends.
 */
export class Membership {
  readonly name: string;
  readonly spec: RoomSpec | undefined;
  /** One for each handle. */
  readonly emitters: Set<Emitter<RoomEvents>> = new Set();
  state: RoomState = "joining";
  presence: PresenceList = new Map();
  members = 0;
  rights: readonly Right[] = [];
  /** The presence data changed and is yet to be sent. */
  hasNewData = false;
  #position: Cursor | undefined;
  #since: string | undefined;
  #history: number | undefined;
  #wantsPresence = false;
  #data: unknown;
  #askedSince: string | undefined;
  #replayLeft = 0;
  #wasJoined = false;

  constructor(name: string, spec: RoomSpec | undefined, options: JoinOptions) {
    this.name = name;
    this.spec = spec;
    this.#since = options.since;
    this.#history = options.history;
    this.wants(options);
    if (options.data !== undefined) this.setData(options.data);
  }

  get cursor(): string | undefined {
    return this.#position && formatCursor(this.#position);
  }

  /** Whether a handle with these options needs another join: presence is had once any wants it (P-24: no second arrival). */
  wants({ presence }: JoinOptions): boolean {
    const isNew = !this.#wantsPresence && presence === true;
    this.#wantsPresence ||= isNew;
    return isNew;
  }

  /** Throws where the data breaks the contract. */
  setData(data: unknown): void {
    const fault = checkData(this.name, this.spec?.presence, data);
    if (fault) throw fault;
    // What later joins send is what was given now, whatever the app does to its object.
    this.#data = JSON.parse(JSON.stringify(data));
    this.hasNewData = true;
  }

  joinFrame(id: string): string {
    const begins = this.state === "joining";
    this.hasNewData = false;
    this.#askedSince = begins ? (this.cursor ?? this.#since) : undefined;
    return JSON.stringify({
      type: "join",
      id,
      room: this.name,
      since: this.#askedSince,
      history: begins ? this.#history : undefined,
      presence: this.#wantsPresence,
      data: this.#data,
    });
  }

  presenceFrame(id: string): string {
    this.hasNewData = false;
    return JSON.stringify({ type: "presence", id, room: this.name, data: this.#data });
  }

  /** The connection is gone. What was known stays to be seen, and the position to resume from. True where it was joined. */
  suspend(): boolean {
    const wasJoined = this.state === "joined";
    if (wasJoined) this.#enter("joining");
    return wasJoined;
  }

  /** Not to be repeated: an operator's removal, or a refusal. */
  end(reason: Left["reason"], error: FanfareError): void {
    this.#enter("left");
    this.tell("left", { reason, error });
  }

  joined(frame: JoinedFrame): void {
    const since = this.#askedSince;
    const begins = this.state === "joining";
    const resumed = begins && (this.#wasJoined || since !== undefined);
    this.#wasJoined = true;
    this.#position = frame.cursor === undefined ? undefined : parseCursor(frame.cursor);
    // P-24: a join for presence alone leaves an earlier replay running.
    if (begins) this.#replayLeft = frame.replay;
    this.members = frame.members;
    this.rights = frame.rights;
    this.presence = listOf(frame.presence ?? []);
    this.#enter("joined");
    this.tell("joined", frame);
    // P-22: told after `joined`, so that what the app loads now cannot be older than what follows.
    if (resumed && frame.recovered !== true) this.tell("reset", { cursor: this.cursor, reason: this.#whyLost(since) });
    if (frame.presence !== undefined) this.#tellPresence({ replaced: true, members: frame.members });
  }

  message(frame: MessageFrame): void {
    if (this.state !== "joined") return;
    const { event, offset } = frame;
    const replay = this.#replayLeft > 0;
    if (replay) this.#replayLeft--;
    if (offset !== undefined && this.#position !== undefined) {
      if (offset <= this.#position.offset) return;
      this.#noteHole(frame.prev ?? offset - 1);
      this.#position = { epoch: this.#position.epoch, offset };
    }
    this.#deliver("message", this.spec?.events, event, { ...frame, replay });
  }

  signal(frame: SignalFrame): void {
    if (this.state === "joined") this.#deliver("signal", this.spec?.signals, frame.event, { ...frame });
  }

  skip(offset: number): void {
    if (this.#position !== undefined && offset > this.#position.offset) {
      this.#position = { epoch: this.#position.epoch, offset };
    }
  }

  gap(frame: GapFrame): void {
    const next = parseCursor(frame.cursor);
    const before = this.#position;
    if (this.state !== "joined" || next === undefined) return;
    if (before?.epoch === next.epoch && next.offset <= before.offset) return;
    const after = this.cursor;
    const { cursor, reason } = frame;
    this.#position = next;
    this.#replayLeft = 0;
    if (reason === "epoch" || before?.epoch !== next.epoch) this.tell("reset", { cursor, reason: "epoch" });
    else this.tell("gap", { after, cursor, reason });
  }

  /** `user` is this client's own. */
  changed(frame: PresenceFrame, user: string): void {
    if (this.state !== "joined") return;
    const { list, change } = applyPresence(this.presence, frame);
    this.presence = list;
    this.members = frame.members;
    // P-40: another tab of this user may have changed the data. A rejoin from here must not put the old back.
    if (!this.hasNewData && this.#data !== undefined && list.has(user)) this.#data = list.get(user);
    this.#tellPresence(change);
  }

  tell<E extends keyof RoomEvents>(event: E, value: RoomEvents[E]): void {
    for (const emitter of [...this.emitters]) emitter.emit(event, value);
  }

  #tellPresence(change: Partial<PresenceChange> & { members: number }): void {
    this.tell("presence", { joined: [], left: [], updated: [], replaced: false, ...change });
  }

  #enter(state: RoomState): void {
    if (state === this.state) return;
    this.state = state;
    this.tell("state", state);
  }

  #whyLost(since: string | undefined): "epoch" | "trimmed" | "unkept" {
    const before = since === undefined ? undefined : parseCursor(since);
    if (this.#position === undefined) return "unkept";
    return before?.epoch === this.#position.epoch ? "trimmed" : "epoch";
  }

  /** A server announces what it leaves out (P-32); one that did not is told of, never hidden. */
  #noteHole(predecessor: number): void {
    const before = this.#position;
    if (before === undefined || predecessor <= before.offset) return;
    const cursor = formatCursor({ epoch: before.epoch, offset: predecessor });
    this.tell("gap", { after: this.cursor, cursor, reason: "unknown" });
  }

  #deliver(kind: "message" | "signal", schemas: Schemas | undefined, event: string, value: AnyEvent): void {
    const fault = checkEvent(this.name, schemas, event, value.data);
    if (fault) this.tell("error", fault);
    else this.tell(kind, value as never);
  }
}
