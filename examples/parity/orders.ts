import type { IncomingMessage } from "node:http";
import { isRoomName, type AnyHub } from "fanfare";
import * as z from "zod";
import { decoded, parsed, readText } from "./read.ts";

/** Groups are the whole app's: with a prefix no room is one of another endpoint. */
const groupOf = (room: string): string => `orders/${room}`;

const Params = z.object({ room: z.string().transform(groupOf).refine(isRoomName) });
const Message = z.discriminatedUnion("type", [
  z.object({ type: z.literal("chat"), text: z.string() }),
  z.object({ type: z.literal("ping") }),
]);
const Update = z.object({ status: z.string(), user_id: z.union([z.string().min(1), z.int()]) });
const maxTextCharacters = 500;

/** `/ws/:room?token=`: signed in by a JWT; a bad token is closed with 4001, which a browser sees. */
export function rooms(hub: AnyHub): void {
  hub.endpoint(
    "/ws/:room",
    {
      authenticate: true,
      params: Params,
      receive: Message,
      invalid: ({ fault }, socket) =>
        socket.send({ type: "error", message: fault === "schema" ? "Unknown message" : "Invalid JSON" }),
    },
    async ({ socket, params, user }) => {
      const room = hub.group(params.room);
      room.join(socket);
      room.broadcast({ type: "user_joined", user_id: user, room_size: room.size });
      for await (const message of socket) {
        if (message.type === "ping") socket.send({ type: "pong" });
        else room.broadcast({ type: "chat", user_id: user, text: cut(message.text) });
      }
      room.broadcast({ type: "user_left", user_id: user });
    },
  );
}

/** `POST /orders/:id/status`: any code of the server tells the sockets of a user. Undefined: it is not this call. */
export async function orderStatus(hub: AnyHub, request: IncomingMessage): Promise<[number, object] | undefined> {
  const id = decoded(/^\/orders\/([^/?]+)\/status(?:\?|$)/.exec(request.url ?? "")?.[1] ?? "");
  if (!id || request.method !== "POST") return undefined;
  const json = await readText(request, 10_000);
  if (json === undefined) return [413, { error: "too large" }];
  const body = Update.safeParse(parsed(json));
  const room = groupOf(`user_${body.data?.user_id}`);
  if (!body.success || !isRoomName(room)) return [422, { error: "status and user_id are needed" }];
  const { status } = body.data;
  hub.group(room).broadcast({ type: "order_update", order_id: id, status });
  return [200, { order_id: id, status }];
}

/** By whole characters: half an emoji is no text. */
function cut(text: string): string {
  return [...text].slice(0, maxTextCharacters).join("");
}
