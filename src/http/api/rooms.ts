import { isReservedRoom } from "../../protocol/names.ts";
import { Refused } from "../../server/index.ts";
import { emptyAnswer, jsonAnswer } from "../answer.ts";
import { anyText, count, flag, required, room, user } from "./fields.ts";
import { type Route, route } from "./route.ts";
import { schemaNamed } from "./schema.ts";

/** A page of `GET /v1/rooms`: more is clamped. */
const maxRoomsPage = 1_000;
const defaultRoomsPage = 100;

export const roomRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/rooms",
    operation: "rooms",
    summary: "List the rooms that have members now, by name",
    audience: "key",
    query: { prefix: anyText, limit: count, after: anyText },
    success: {
      status: 200,
      tells: `Up to limit rooms after the name in after, ${maxRoomsPage} at most`,
      schema: schemaNamed("Rooms"),
    },
    run: async ({ hub, query: { prefix = "", after = "", limit = defaultRoomsPage } }) =>
      jsonAnswer(200, await hub.rooms({ prefix, after, limit: Math.min(limit, maxRoomsPage) })),
  }),
  route({
    method: "GET",
    path: "/v1/rooms/{room}/members",
    operation: "members",
    summary: "Read who is in a room",
    audience: "caller",
    pathFields: { room: required(room) },
    success: {
      status: 200,
      tells: "The number of members, and the first 1,000 of them",
      schema: schemaNamed("Members"),
    },
    run: async ({ hub, caller, path }) => jsonAnswer(200, await hub.calls.members(caller, path.room)),
  }),
  route({
    method: "DELETE",
    path: "/v1/rooms/{room}/members/{user}",
    operation: "remove",
    summary: "Take a user out of a room",
    audience: "key",
    pathFields: { room: required(room), user: required(user) },
    success: { status: 204, tells: "The user is not in it, whether it was or not", schema: undefined },
    run: async ({ hub, path }) => {
      if (isReservedRoom(path.room)) throw new Refused("forbidden", "not allowed");
      await hub.calls.remove(path.room, path.user);
      return emptyAnswer(204);
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/users/{user}/connections",
    operation: "disconnect",
    summary: "Close all of a user's connections with 4003",
    audience: "key",
    pathFields: { user: required(user) },
    query: { revoke: flag },
    success: {
      status: 204,
      tells: "They are closed; with revoke, tokens and unspent tickets issued before now are refused",
      schema: undefined,
    },
    run: async ({ hub, path, query }) => {
      await hub.calls.disconnect(path.user, { revoke: query.revoke ?? false });
      return emptyAnswer(204);
    },
  }),
];
