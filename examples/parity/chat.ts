import type { AnyHub } from "fanfare";
import * as z from "zod";

const Query = z.object({ username: z.string().min(1) });
const Content = z.object({ content: z.string() });

/** `/ws/chat?username=`: everyone in one group; who comes and goes is told to all. */
export function chat(hub: AnyHub): void {
  const everyone = hub.group("chat");
  const tell = (message: string): void => everyone.broadcast({ type: "system", message, users_online: everyone.size });

  hub.endpoint(
    "/ws/chat",
    {
      query: Query,
      receive: Content,
      invalid: (_, socket) => socket.send({ type: "error", message: "Invalid message" }),
    },
    async ({ socket, query: { username } }) => {
      everyone.join(socket);
      tell(`${username} joined the chat`);
      for await (const { content } of socket) {
        const message = { type: "message", from: username, content, timestamp: new Date().toISOString() };
        everyone.broadcast(message, { except: socket });
      }
      // The socket is gone, and with it from the group.
      tell(`${username} left the chat`);
    },
  );
}
