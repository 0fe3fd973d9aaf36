import { formatCursor, parseCursor, type Cursor } from "../protocol/cursor.ts";
import type { RoomSpec, Schemas } from "../protocol/contract.ts";
import type { JoinedFrame, MessageFrame, PresenceFrame, Right, ServerFrame, SignalFrame } from "../protocol/frames.ts";
import { checkData, checkEvent } from "./checks.ts";
import type { Emitter } from "./emitter.ts";
import type { FanfareError } from "./errors.ts";
import { applyPresence, listOf, type PresenceList } from "./presence.ts";
import type { JoinOptions, Left, PresenceChange, RoomEvents, RoomState } from "./types.ts";

/** What a join carried, to tell what its answer means. */
interface Ask {
  readonly id: string;
  readonly since: string | undefined;
}

type AnyEvent = { readonly data: unknown } & Readonly<Record<string, unknown>>;
type GapFrame = ServerFrame & { type: "gap" };

/**
 * This client's part in one room, shared by all handles and outliving connections: what to ask for, the position in the
 * log, who is there. Nothing here sends; `joinFrame` is what the owner sends when `wantsJoin`.
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
  /** The next join is due: not asked on this connection, or more is wanted than was asked. */
  wantsJoin = true;
  /** A refused join that may be repeated waits until then. */
  notBefore = 0;
  failures = 0;
  /** The presence data that the server was last given is not the newest. */
  wantsPresenceSent = false;
  #position: Cursor | undefined;
  #since: string | undefined;
  #history: number | undefined;
  #wantsPresence = false;
  #data: unknown;
  #ask: Ask | undefined;
  #replayLeft = 0;
  #wasJoined = false;

  constructor(name: string, spec: RoomSpec | undefined, options: JoinOptions) {
    this.name = name;
    this.spec = spec;
    this.#since = options.since;
    this.#history = options.history;
    this.want(options);
    this.setData(options.data);
  }

  get cursor(): string | undefined {
    return this.#position && formatCursor(this.#position);
  }

  /** A further handle: presence is had once any wants it (P-24: no second arrival). */
  want({ presence }: JoinOptions): void {
    if (!presence || this.#wantsPresence) return;
    this.#wantsPresence = true;
    this.wantsJoin = true;
  }

  /** Throws where the data breaks the contract. */
  setData(data: unknown): void {
    if (data === undefined) return;
    const fault = checkData(this.name, this.spec?.presence, data);
    if (fault !== undefined) throw fault;
    // What later joins send is what was given now, whatever the app does to its object.
    this.#data = JSON.parse(JSON.stringify(data));
    this.wantsPresenceSent = true;
  }

  /** The presence data to send now, as JSON text. */
  presenceFrame(): string {
    this.wantsPresenceSent = false;
    return JSON.stringify({ type: "presence", room: this.name, data: this.#data });
  }

  /** The join to send now, as JSON text. */
  joinFrame(id: string): string {
    const resumes = this.state === "joining";
    const since = resumes ? (this.cursor ?? this.#since) : undefined;
    const history = resumes ? this.#history : undefined;
    this.#ask = { id, since };
    this.wantsJoin = this.wantsPresenceSent = false;
    const presence = this.#wantsPresence || undefined;
    return JSON.stringify({ type: "join", id, room: this.name, since, history, presence, data: this.#data });
  }

  /** The connection is gone: what was asked and who was there no longer counts; the position does. */
  suspend(): void {
    this.wantsJoin = true;
    this.notBefore = 0;
    this.failures = 0;
    this.#ask = undefined;
    if (this.state === "joined") this.#enter("joining");
  }

  /** Whether a join is waited for: any, or the one with this id. */
  asked(id?: string): boolean {
    return this.#ask !== undefined && (id === undefined || this.#ask.id === id);
  }

  /** The join that was waited for is to be sent again, then. */
  retryJoin(at: number): void {
    this.#ask = undefined;
    this.wantsJoin = true;
    this.notBefore = at;
  }

  /** Not to be repeated: an operator's removal, or a refusal. */
  end(reason: Left["reason"], error: FanfareError): void {
    this.#enter("left");
    this.tell("left", { reason, error });
  }

  joined(frame: JoinedFrame): void {
    // Answers to joins of an earlier membership in this room, or overtaken by a later join, are of no concern.
    if (frame.re === undefined || !this.asked(frame.re)) return;
    const since = this.#ask?.since;
    const begins = this.state === "joining";
    const resumed = begins && (this.#wasJoined || since !== undefined);
    this.#ask = undefined;
    this.#wasJoined = true;
    this.failures = 0;
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
    if (!this.wantsPresenceSent && this.#data !== undefined && list.has(user)) this.#data = list.get(user);
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
    if (fault === undefined) this.tell(kind, value as never);
    else this.tell("error", fault);
  }
}
