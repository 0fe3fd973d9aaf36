import { isRoomName } from "../../protocol/names.ts";
import { jsonAnswer } from "../answer.ts";
import { badField, errorBody, HttpError } from "../errors.ts";
import { type Field, required, room } from "./fields.ts";
import { messageFields, messageOf } from "./messages.ts";
import { type Route, route } from "./route.ts";
import { schemaNamed } from "./schema.ts";

/** P-80. One more is 413. */
const maxRooms = 100;
/** What their names may take beside the message: 100 of the longest, and some to spare for escapes. */
const namesBytes = 65_536;

/** Names are looked at one by one later: a bad one costs its own room only. */
const rooms: Field<string[]> = {
  read: (value) => (Array.isArray(value) && value.every((name) => typeof name === "string") ? value : undefined),
  expected: "a list of rooms' names",
  schema: { type: "array", items: { type: "string" }, minItems: 1, maxItems: maxRooms, uniqueItems: true },
  required: true,
};

export const batchRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/publish",
    operation: "publishToMany",
    summary: "Publish the same message into up to 100 rooms, each for itself",
    audience: "caller",
    body: {
      fields: { rooms: required(rooms), ...messageFields },
      maxBytes: ({ messageBytes }) => messageBytes + namesBytes,
    },
    keyed: true,
    success: {
      status: 200,
      tells: "What became of it, in the order of the rooms",
      schema: schemaNamed("BatchResults"),
    },
    run: async ({ hub, caller, body, key, request, fault }) => {
      checkRooms(body.rooms);
      // Each is a publish; the first was counted as the call.
      if (caller.kind === "user") {
        hub.calls.allow({ user: caller.identity.user, address: request.address }, body.rooms.length, 1);
      }
      const message = { ...messageOf(body), key };
      const publish = async (name: string): Promise<object> => {
        try {
          if (!isRoomName(name)) throw badField(`it must be ${room.expected}`);
          return { room: name, ...(await hub.calls.publish(caller, name, message)) };
        } catch (error) {
          return { room: name, error: errorBody(fault(error)) };
        }
      };
      return jsonAnswer(200, { results: await Promise.all(body.rooms.map(publish)) });
    },
  }),
];

function checkRooms(names: readonly string[]): void {
  if (names.length > maxRooms) throw new HttpError(413, "too_large", `a batch is of ${maxRooms} rooms at most`);
  if (names.length === 0) throw badField("rooms must name at least one room");
  // The message would be there twice, or once by its key: neither can be what was meant.
  if (new Set(names).size < names.length) throw badField("rooms must name each room once");
}
