/** Fanfare's server: `createHub`, the contract, and ways to authenticate. */
export { createHub, Hub } from "./hub.ts";
export type { AnyHub, AnyRoomHandle, AnyUserHandle } from "./any-hub.ts";
export type { Listening } from "./entrances.ts";
export type { HubSurroundings } from "./hub.ts";
export type { RoomsPage, RoomsQuery } from "./cluster/operations.ts";
export type { Caller, CallMessage, Calls } from "./calls.ts";
export type { ConnectionHandle, RoomHandle, ServerPublishOptions, UserHandle } from "./handles.ts";
export type {
  Handled,
  HandlersFor,
  JoinContext,
  MessageContext,
  MessageHandler,
  RequestContext,
  RoomHandlers,
} from "./handlers.ts";
export { defaultKeep, defaultLimits } from "./options.ts";
export type { HubOptions, Limits, Logger } from "./options.ts";
export type { Rates } from "./rates.ts";
export { refuse } from "./endpoints/refuse.ts";
export type { Refusal } from "./endpoints/refuse.ts";
export type {
  Asking,
  EndpointContext,
  EndpointHandler,
  EndpointOptions,
  Invalid,
  MaybeSchema,
  MessageOf as EndpointMessage,
  OutputOr,
  Receive,
  UserOf,
  Who,
} from "./endpoints/options.ts";
export type { PathParams } from "./endpoints/path.ts";
export type { FollowedMessage, FollowedSignal, Following, FollowOptions, FollowStart } from "./endpoints/follow.ts";
export type { FollowedGap } from "./endpoints/followers.ts";
export type { EndpointSocket } from "./endpoints/socket.ts";
export type { Group } from "./endpoints/groups.ts";
export type { Sendable } from "./endpoints/payload.ts";
export type { PageRequest } from "./history.ts";
export type { AddressOf } from "./proxies.ts";
export type { SpanFacts, TraceSpan, Tracing } from "./tracing.ts";
export type { Published } from "./publisher.ts";
export { Refused } from "./refused.ts";
export type { Clock } from "./clock.ts";
export { jwt, signToken } from "./auth/jwt.ts";
export type { JwtOptions, SignOptions } from "./auth/jwt.ts";
export type {
  Authenticate,
  CredentialKind,
  Credentials,
  Identity,
  RequestFacts,
  RoomRight,
  RoomRights,
} from "./auth/identity.ts";
export type { Ticket, Tickets } from "./auth/tickets.ts";
export { memory } from "../backends/memory/index.ts";
export { BackendUnavailable } from "../backends/backend.ts";
export type { Backend, BackendPromises } from "../backends/backend.ts";
/** P-20: what rooms and groups can be named. For a name that came from a peer; elsewhere a bad one throws. */
export { isRoomName } from "../protocol/names.ts";
export { defineRooms } from "../protocol/contract.ts";
export type { Contract, Keep, ParamsOf, RoomNameOf, RoomSpec, Schemas, SlowPolicy } from "../protocol/contract.ts";
export type { ErrorCode } from "../protocol/codes.ts";
export type { Issue, KeptMessage, Member, Right } from "../protocol/frames.ts";
export type { Json } from "../protocol/json.ts";
