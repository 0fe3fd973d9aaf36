import { batch, computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Client, ClientStatus } from "fanfare/client";
import type { ChatContract } from "../rooms.ts";
import type { Host } from "./host.ts";
import { ChatRoom } from "./room.ts";

/** Those that everybody finds. */
export const commonRooms = ["general", "random", "support"] as const;
/** More would cost more joins than a connection has. */
const maxRooms = 50;
const maxRoomNameLength = 40;

/** The client's status, and when it began by the page's clock. */
export interface Connection {
  readonly status: ClientStatus;
  readonly since: number;
  /** Online at least once: what comes now is a reconnection. */
  readonly wasOnline: boolean;
}

export interface ChatParts {
  readonly client: Client<ChatContract>;
  readonly me: string;
  readonly host: Host;
  /** Rooms besides the common ones. */
  readonly rooms: readonly string[];
  /** The room to show first. */
  readonly first: string;
  /** What was being written in a room when the page was last left. */
  draftOf(room: string): string;
}

/** All that one person has open in one tab. Knows no page: a view shows it. */
export class Chat {
  readonly me: string;
  readonly client: Client<ChatContract>;
  /** Whether the person looks at the page at all; the view tells. */
  readonly isWatched = signal(true);
  readonly #parts: ChatParts;
  readonly #rooms = signal<readonly ChatRoom[]>([]);
  readonly #shown: Signal<ChatRoom>;
  readonly #connection: Signal<Connection>;
  readonly #ends: (() => void)[] = [];
  /** Messages that nobody has seen, in all rooms. */
  readonly unread: ReadonlySignal<number> = computed(() =>
    this.#rooms.value.reduce((sum, room) => sum + room.unread.value, 0),
  );

  constructor(parts: ChatParts) {
    const { client, host, me } = parts;
    this.#parts = parts;
    this.me = me;
    this.client = client;
    this.#connection = signal<Connection>({ status: client.status, since: host.now(), wasOnline: false });
    const names = new Set([...commonRooms, ...parts.rooms.map(roomNameOf).filter((name) => name !== "")]);
    this.#rooms.value = [...names].slice(0, maxRooms).map((name) => this.#makeRoom(name));
    this.#shown = signal(this.#roomFor(parts.first));
    this.#ends.push(
      client.on("status", (status) => {
        const wasOnline = this.#connection.value.wasOnline || status.state === "online";
        this.#connection.value = { status, since: host.now(), wasOnline };
      }),
      effect(() => {
        if (this.isWatched.value) this.#shown.value.markRead();
      }),
    );
    client.connect();
  }

  get rooms(): ReadonlySignal<readonly ChatRoom[]> {
    return this.#rooms;
  }
  /** The room that is looked at. */
  get shown(): ReadonlySignal<ChatRoom> {
    return this.#shown;
  }
  get connection(): ReadonlySignal<Connection> {
    return this.#connection;
  }

  /** Shows a room, and joins it first where that is still to be done. */
  open(name: string): void {
    const before = this.#shown.peek();
    const room = this.#roomFor(name);
    if (room === before) return;
    batch(() => {
      before.putAway();
      this.#shown.value = room;
    });
  }

  /** A common room stays. */
  leave(room: ChatRoom): void {
    if (isCommon(room.name)) return;
    batch(() => {
      if (this.#shown.peek() === room) this.open(commonRooms[0]);
      this.#rooms.value = this.#rooms.value.filter((other) => other !== room);
    });
    room.leave();
  }

  /** Signs out: others see this person go at once. */
  close(): void {
    for (const end of this.#ends) end();
    for (const room of this.#rooms.value) room.leave();
    this.client.close();
  }

  /** The room of that name, joined now where need be; the first common one where the name is none, or rooms are many. */
  #roomFor(text: string): ChatRoom {
    const name = roomNameOf(text);
    const found = this.#rooms.value.find((room) => room.name === name);
    if (found !== undefined) return found;
    if (name === "" || this.#rooms.value.length >= maxRooms) return this.#roomFor(commonRooms[0]);
    const made = this.#makeRoom(name);
    this.#rooms.value = [...this.#rooms.value, made];
    return made;
  }

  #makeRoom(name: string): ChatRoom {
    const { client, me, host, draftOf } = this.#parts;
    const isSeen = (room: ChatRoom): boolean => this.isWatched.value && this.#shown.value === room;
    return new ChatRoom(name, { client, me, host, draft: draftOf(name), isSeen });
  }
}

export function isCommon(name: string): boolean {
  return (commonRooms as readonly string[]).includes(name);
}

/** A room's name from what a person typed: `Sales & Co` becomes `sales-co`. Empty where nothing is left. */
export function roomNameOf(text: string): string {
  return text
    .normalize("NFC")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}_]+/gu, "-")
    .slice(0, maxRoomNameLength)
    .replaceAll(/^-+|-+$/g, "");
}
