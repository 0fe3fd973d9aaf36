import type { RoomKind } from "./catalog.ts";
import { Room, type RoomContext } from "./room.ts";

/** The rooms that have members on this node. A room is opened by its first member and closed after its last. */
export class Rooms {
  readonly #rooms: Map<string, Room> = new Map();
  readonly #opening: Map<string, Promise<Room>> = new Map();
  readonly #context: RoomContext;

  constructor(context: Omit<RoomContext, "emptied">) {
    this.#context = { ...context, emptied: (room) => this.#close(room) };
  }

  get size(): number {
    return this.#rooms.size;
  }

  get(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  all(): Iterable<Room> {
    return this.#rooms.values();
  }

  /** The room, held open until `release`. Rejects where the log cannot be reached. */
  async hold(name: string, kind: RoomKind): Promise<Room> {
    const room = this.#rooms.get(name) ?? (await this.#open(name, kind));
    // Emptied and closed while this one waited for it.
    if (this.#rooms.get(name) !== room) return this.hold(name, kind);
    room.holds++;
    return room;
  }

  close(): void {
    for (const room of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  #open(name: string, kind: RoomKind): Promise<Room> {
    const known = this.#opening.get(name);
    if (known !== undefined) return known;
    const room = new Room(name, kind, this.#context);
    const opening = room
      .open()
      .then(() => {
        this.#rooms.set(name, room);
        return room;
      })
      .finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  #close(room: Room): void {
    if (this.#rooms.get(room.name) !== room) return;
    this.#rooms.delete(room.name);
    room.close();
  }
}
