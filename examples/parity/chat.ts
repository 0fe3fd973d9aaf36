import { refuse, type AnyHub } from "fanfare";
import * as z from "zod";

const Content = z.object({ content: z.string() });

/** `/ws/chat?username=`: everyone in one group; who comes and goes is told to all. */
export function chat(hub: AnyHub): void {
  const everyone = hub.group("chat");
  const tell = (message: string): void => everyone.broadcast({ type: "system", message, users_online: everyone.size });

  hub.endpoint(
    "/ws/chat",
    {
      receive: Content,
      invalid: (_, socket) => socket.send({ type: "error", message: "Invalid message" }),
      accept: ({ query }) => (query.get("username") ? undefined : refuse(400, "username is missing")),
    },
    async ({ socket, query }) => {
      const name = query.get("username") ?? "";
      everyone.join(socket);
      tell(`${name} joined the chat`);
      for await (const { content } of socket) {
        const message = { type: "message", from: name, content, timestamp: new Date().toISOString() };
        everyone.broadcast(message, { except: socket });
      }
      // The socket is gone, and with it from the group.
      tell(`${name} left the chat`);
    },
  );
}
