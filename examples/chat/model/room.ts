import { batch, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Client, MessageOf, PastMessageOf, Room } from "fanfare/client";
import type { ChatContract, ChatSpec } from "../rooms.ts";
import type { Host } from "./host.ts";
import { Outgoing } from "./outgoing.ts";
import { whyLeft } from "./reasons.ts";
import * as timelines from "./timeline.ts";
import { Typing } from "./typing.ts";

/** So many messages at once: at the join, after a reset, and for each page that is scrolled back to. */
const pageSize = 50;

export interface Member {
  readonly user: string;
  readonly name: string;
}

/** What a room asks of the chat it is in. */
export interface RoomParts {
  readonly client: Client<ChatContract>;
  readonly me: string;
  readonly host: Host;
  readonly draft: string;
  /** Whether the person looks at this room now. */
  isSeen(room: ChatRoom): boolean;
}

/** One room that this page has joined: what it shows, who is there, what is unread. */
export class ChatRoom {
  readonly name: string;
  readonly typing: Typing;
  readonly outgoing: Outgoing;
  readonly draft: Signal<string>;
  readonly #parts: RoomParts;
  readonly #timeline = signal(timelines.emptyTimeline);
  readonly #members = signal<readonly Member[]>([]);
  readonly #memberCount = signal(0);
  readonly #unread = signal(0);
  readonly #unreadFrom = signal<string | undefined>(undefined);
  readonly #refusal = signal<string | undefined>(undefined);
  readonly #newest = signal<timelines.Message | undefined>(undefined);
  #handle: Room<ChatSpec>;
  /** So many messages of the first page are still to come: old ones, and nobody's news. */
  #firstPageLeft = 0;
  #replay = 0;
  #readsBack = false;

  constructor(name: string, parts: RoomParts) {
    this.name = name;
    this.#parts = parts;
    this.draft = signal(parts.draft);
    this.typing = new Typing(parts.host);
    this.outgoing = new Outgoing({ now: parts.host.now, timeline: this.#timeline, handle: () => this.#handle });
    this.#handle = this.#join(undefined);
  }

  get timeline(): ReadonlySignal<timelines.Timeline> {
    return this.#timeline;
  }
  /** By name, oneself first. */
  get members(): ReadonlySignal<readonly Member[]> {
    return this.#members;
  }
  get memberCount(): ReadonlySignal<number> {
    return this.#memberCount;
  }
  get unread(): ReadonlySignal<number> {
    return this.#unread;
  }
  /** The id of the first message that was not seen when it came; stays until the room is put away. */
  get unreadFrom(): ReadonlySignal<string | undefined> {
    return this.#unreadFrom;
  }
  /** Why one is not in the room any more. */
  get refusal(): ReadonlySignal<string | undefined> {
    return this.#refusal;
  }
  /** The last of others' messages that came while the person looked on, for those who hear the page. */
  get newest(): ReadonlySignal<timelines.Message | undefined> {
    return this.#newest;
  }

  /** After a refusal or a removal. What was missed meanwhile follows. */
  rejoin(): void {
    const since = this.#handle.cursor;
    this.#handle.leave();
    this.#refusal.value = undefined;
    this.#handle = this.#join(since);
  }

  leave(): void {
    this.typing.clear();
    this.#handle.leave();
  }

  /** Loads the page of history before a run, once at a time. */
  async loadOlder(runId: number): Promise<void> {
    const run = this.#timeline.value.runs.find(({ id }) => id === runId);
    const before = run?.messages[0]?.offset;
    if (before === undefined || run?.older === "loading" || run?.older === "none") return;
    this.#change(timelines.setOlder, runId, "loading");
    try {
      const page = await this.#handle.history({ before, limit: pageSize });
      const epoch = epochOf(page.cursor);
      const messages = page.messages.map((message) => messageOf(message, epoch));
      this.#change(timelines.prepend, runId, messages, page.more);
    } catch {
      this.#change(timelines.setOlder, runId, "failed");
    }
  }

  markRead(): void {
    this.#unread.value = 0;
  }

  /** The room is no longer shown: what was unread has been seen. */
  putAway(): void {
    this.#unreadFrom.value = undefined;
    this.readBack(false);
  }

  /** Whether one has left the end of the list. Back there, what is far above is let go. */
  readBack(does: boolean): void {
    this.#readsBack = does;
    if (!does) this.#change(timelines.trim, timelines.maxMessages);
  }

  /** A letter was typed. */
  typed(): void {
    this.typing.tell(() => this.#handle.signal("typing", {}));
  }

  send(text: string): void {
    this.typing.rest();
    this.outgoing.publish(text);
  }

  #join(since: string | undefined): Room<ChatSpec> {
    const { client, me } = this.#parts;
    const room: Room<ChatSpec> = client.join(`chat/${this.name}`, {
      presence: true,
      history: pageSize,
      data: { name: me },
      ...(since === undefined ? {} : { since }),
    });
    room.on("joined", ({ replay, recovered }) => {
      this.#replay = replay;
      if (recovered !== true) this.#firstPageLeft = replay;
      if (recovered === undefined) this.#change(timelines.beginRun, this.#olderThanReplay());
    });
    room.on("reset", () => {
      this.#timeline.value = timelines.beginRun(timelines.sealRuns(this.#timeline.value), this.#olderThanReplay());
    });
    room.on("gap", ({ reason }) => this.#change(timelines.beginRun, reason === "trimmed" ? "none" : "more"));
    room.on("message", (message) => batch(() => this.#arrived(message, epochOf(room.cursor))));
    room.on("signal", ({ from }) => {
      if (from !== undefined && from !== me) this.typing.heard(from);
    });
    room.on("presence", ({ left }) => batch(() => this.#membersChanged(room, left)));
    room.on("left", (left) => (this.#refusal.value = whyLeft(left)));
    // Who typed when the connection was lost may have stopped long since.
    room.on("state", () => this.typing.clear());
    return room;
  }

  #arrived(past: MessageOf<ChatSpec>, epoch: string): void {
    const message = messageOf(past, epoch);
    const { from, id } = message;
    const isNews = this.#firstPageLeft === 0;
    if (!isNews) this.#firstPageLeft--;
    this.#change(timelines.append, message);
    this.#change(timelines.trim, this.#readsBack ? timelines.maxReadBack : timelines.maxMessages);
    if (from !== undefined) this.typing.stopped(from);
    if (from === this.#parts.me || !isNews) return;
    if (this.#parts.isSeen(this)) {
      this.#newest.value = message;
      return;
    }
    if (this.#unread.value === 0) this.#unreadFrom.value = id;
    this.#unread.value++;
  }

  #membersChanged(room: Room<ChatSpec>, left: readonly string[]): void {
    for (const user of left) this.typing.stopped(user);
    const { me } = this.#parts;
    this.#members.value = [...room.presence]
      .map(([user, data]): Member => ({ user, name: nameOf(user, data) }))
      .sort((a, b) => Number(b.user === me) - Number(a.user === me) || a.name.localeCompare(b.name));
    this.#memberCount.value = room.members;
  }

  /** A replay shorter than what was asked for is all there is. */
  #olderThanReplay(): timelines.Older {
    return this.#replay < pageSize ? "none" : "more";
  }

  #change<Rest extends unknown[]>(
    change: (timeline: timelines.Timeline, ...rest: Rest) => timelines.Timeline,
    ...rest: Rest
  ): void {
    this.#timeline.value = change(this.#timeline.value, ...rest);
  }
}

function messageOf({ offset, from, at, key, data }: PastMessageOf<ChatSpec>, epoch: string): timelines.Message {
  return { id: `${epoch}:${offset}`, offset, from, at, key, text: data.text };
}

function epochOf(cursor: string | undefined): string {
  return cursor?.split(":", 1)[0] ?? "";
}

/** Members who came by other means than this page may have given no data. */
function nameOf(user: string, data: unknown): string {
  return typeof data === "object" && data !== null && "name" in data ? String(data.name) : user;
}
