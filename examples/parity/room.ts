import { isRoomName, type AnyHub } from "fanfare";
import * as z from "zod";

const groupOf = (room: string): string => `room/${room}`;

const Params = z.object({ room: z.string().refine((room) => isRoomName(groupOf(room))) });
const Content = z.object({ content: z.string() });

/** `/ws/room/:room`: a group for each room, which is gone with its last member. */
export function room(hub: AnyHub): void {
  hub.endpoint(
    "/ws/room/:room",
    {
      params: Params,
      receive: Content,
      invalid: (_, socket) => socket.send({ type: "error", message: "Invalid message" }),
    },
    async ({ socket, params: { room } }) => {
      const group = hub.group(groupOf(room));
      group.join(socket);
      group.broadcast({ type: "user_joined", room, members: group.size }, { except: socket });
      for await (const { content } of socket) {
        group.broadcast({ type: "message", room, content }, { except: socket });
      }
      group.broadcast({ type: "user_left", room, members: group.size });
    },
  );
}
