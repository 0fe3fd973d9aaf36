import { isRoomName, refuse, type AnyHub } from "fanfare";
import * as z from "zod";

const Content = z.object({ content: z.string() });

const groupOf = (channel: string): string => `global/${channel}`;

/** `/ws/global/:channel`: a group reaches every process that shares the hub's backend, so this is the same over several. */
export function global(hub: AnyHub): void {
  hub.endpoint(
    "/ws/global/:channel",
    {
      receive: Content,
      invalid: (_, socket) => socket.send({ type: "error", message: "Invalid message" }),
      accept: ({ params: { channel } }) =>
        isRoomName(groupOf(channel)) ? undefined : refuse(400, "no name of a channel"),
    },
    async ({ socket, params: { channel } }) => {
      const group = hub.group(groupOf(channel));
      group.join(socket);
      for await (const { content } of socket) group.broadcast({ content, channel });
    },
  );
}
