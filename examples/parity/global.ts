import { isRoomName, type AnyHub } from "fanfare";
import * as z from "zod";

const groupOf = (channel: string): string => `global/${channel}`;

const Params = z.object({ channel: z.string().refine((channel) => isRoomName(groupOf(channel))) });
const Content = z.object({ content: z.string() });

/** `/ws/global/:channel`: a group reaches every process that shares the hub's backend, so this is the same over several. */
export function global(hub: AnyHub): void {
  hub.endpoint(
    "/ws/global/:channel",
    {
      params: Params,
      receive: Content,
      invalid: (_, socket) => socket.send({ type: "error", message: "Invalid message" }),
    },
    async ({ socket, params: { channel } }) => {
      const group = hub.group(groupOf(channel));
      group.join(socket);
      for await (const { content } of socket) group.broadcast({ content, channel });
    },
  );
}
