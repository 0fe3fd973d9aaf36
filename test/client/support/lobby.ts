import type { JoinOptions, Room, RoomEvents } from "../../../src/client/index.ts";
import { World } from "./harness.ts";

/** All that a handle told, in order. */
export function listen(room: Room): unknown[][] {
  const told: unknown[][] = [];
  const events: (keyof RoomEvents)[] = [
    "message",
    "signal",
    "presence",
    "state",
    "joined",
    "gap",
    "reset",
    "left",
    "error",
  ];
  for (const event of events) room.on(event, (value) => told.push([event, value]));
  return told;
}

export function names(told: unknown[][]): unknown[] {
  return told.map(([event]) => event);
}

export interface Lobby {
  readonly world: World;
  readonly room: Room;
  /** What the handle told since it was joined. */
  readonly told: unknown[][];
}

/** A client that is in the room `lobby`. */
export async function inLobby(options: JoinOptions = {}, joined: Record<string, unknown> = {}): Promise<Lobby> {
  const world = new World();
  const room = world.client.join("lobby", options);
  const told = listen(room);
  await world.online();
  await world.admit("lobby", joined);
  told.length = 0;
  return { world, room, told };
}

export const offsets = (told: unknown[][]): unknown[] =>
  told.filter(([event]) => event === "message").map(([, value]) => (value as { offset: number }).offset);
