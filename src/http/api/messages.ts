import { maxHistoryPage } from "../../protocol/limits.ts";
import { personalRoom } from "../../protocol/names.ts";
import { historyCost } from "../../server/rate.ts";
import type { CallMessage } from "../../server/index.ts";
import { emptyAnswer, jsonAnswer, textAnswer } from "../answer.ts";
import {
  connection,
  count,
  data,
  event,
  type Field,
  required,
  type RequiredField,
  room,
  user,
  type Values,
} from "./fields.ts";
import { type Route, route } from "./route.ts";
import { schemaNamed } from "./schema.ts";

interface MessageFields {
  readonly [name: string]: Field<unknown>;
  readonly event: RequiredField<string>;
  readonly data: Field<CallMessage["data"]>;
  readonly user: Field<string>;
  readonly except: Field<string>;
}

/** What every call that sends something takes. `user` and `except` are for API keys. */
export const messageFields: MessageFields = { event: required(event), data, user, except: connection };

/** P-5: absent data is null. */
export function messageOf(body: Values<MessageFields>): CallMessage {
  return { event: body.event, data: body.data ?? null, from: body.user, except: body.except };
}

const inRoom = { room: required(room) };
const message = {
  fields: messageFields,
  maxBytes: ({ messageBytes }: { readonly messageBytes: number }) => messageBytes,
};
const kept = {
  status: 200,
  tells: "It is in the log, as durable as the backend says",
  schema: schemaNamed("Published"),
};

export const messageRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/rooms/{room}/messages",
    operation: "publish",
    summary: "Publish a message into a room",
    audience: "caller",
    pathFields: inRoom,
    body: message,
    keyed: true,
    success: kept,
    run: async ({ hub, caller, path, body, key }) =>
      jsonAnswer(200, await hub.calls.publish(caller, path.room, { ...messageOf(body), key })),
  }),
  route({
    method: "GET",
    path: "/v1/rooms/{room}/messages",
    operation: "history",
    summary: "Read a page of a room's log: the newest messages, or those before an offset; oldest first",
    audience: "caller",
    pathFields: inRoom,
    query: { before: count, limit: count },
    cost: historyCost,
    success: { status: 200, tells: `Up to limit messages, ${maxHistoryPage} at most`, schema: schemaNamed("Page") },
    run: async ({ hub, caller, path, query }) => {
      const page = { before: query.before, limit: query.limit ?? maxHistoryPage };
      return textAnswer(200, `{${await hub.calls.history(caller, path.room, page)}}`);
    },
  }),
  route({
    method: "POST",
    path: "/v1/rooms/{room}/signals",
    operation: "signal",
    summary: "Pass a signal to the connections in a room, and forget it",
    audience: "caller",
    pathFields: inRoom,
    body: message,
    success: { status: 202, tells: "It is on its way", schema: undefined },
    run: async ({ hub, caller, path, body }) => {
      await hub.calls.signal(caller, path.room, messageOf(body));
      return emptyAnswer(202);
    },
  }),
  route({
    method: "POST",
    path: "/v1/users/{user}/messages",
    operation: "publishToUser",
    summary: "Publish a message into a user's personal room",
    audience: "key",
    pathFields: { user: required(user) },
    body: message,
    keyed: true,
    success: kept,
    run: async ({ hub, caller, path, body, key }) =>
      jsonAnswer(200, await hub.calls.publish(caller, personalRoom(path.user), { ...messageOf(body), key })),
  }),
];
