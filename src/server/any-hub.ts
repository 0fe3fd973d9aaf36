import type { Contract } from "../protocol/contract.ts";
import type { FollowOptions, Following } from "./endpoints/follow.ts";
import type { EndpointSocket } from "./endpoints/socket.ts";
import type { RoomHandle, ServerPublishOptions, UserHandle } from "./handles.ts";
import type { Hub } from "./hub.ts";
import type { Published } from "./publisher.ts";

/**
 * Any hub, whatever its contract: for functions that are handed one. Room names, events and data are checked at run time
 * alone, and handlers are set where the contract is known: take `Hub<typeof rooms>` there.
 */
export interface AnyHub extends Omit<Hub, "room" | "user" | "on"> {
  room(name: string): AnyRoomHandle;
  user(name: string): AnyUserHandle;
}

/** A room of any hub: see `RoomHandle`. */
export interface AnyRoomHandle extends Omit<RoomHandle<Contract, string>, "publish" | "signal" | "follow"> {
  publish(event: string, data: unknown, options?: ServerPublishOptions): Promise<Published>;
  signal(event: string, data: unknown, options?: Omit<ServerPublishOptions, "key">): Promise<void>;
  follow(socket: EndpointSocket, options: FollowOptions): Promise<Following>;
}

/** A user of any hub: see `UserHandle`. */
export interface AnyUserHandle extends Omit<UserHandle<Contract>, "publish"> {
  publish(event: string, data: unknown, options?: ServerPublishOptions): Promise<Published>;
}
