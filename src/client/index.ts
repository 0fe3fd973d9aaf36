/** `fanfare/client`: rooms in browsers and Node. */
export { createClient } from "./client.ts";
export { FanfareError, type ClientErrorCode, type Fault } from "./errors.ts";
export { defineRooms, type Contract, type RoomSpec } from "../protocol/contract.ts";
export type { ErrorCode } from "../protocol/codes.ts";
export type { Right } from "../protocol/frames.ts";
export type { ClientLimits, ClientTiming, Platform, PlatformNews, WebSocketClass, WebSocketLike } from "./platform.ts";
export type * from "./types.ts";
