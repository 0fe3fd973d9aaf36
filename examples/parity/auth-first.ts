import type { AnyHub, EndpointSocket } from "fanfare";
import * as z from "zod";

const Auth = z.object({ type: z.literal("auth"), token: z.string() });

/** `/ws/auth-first`: signed in by the first message; without one within 10 s the hub closes with 1008. */
export function authFirst(hub: AnyHub): void {
  hub.endpoint(
    "/ws/auth-first",
    {
      authenticate: "first",
      authWithinMs: 10_000,
      receive: "json",
      invalid: (_, socket) => (socket.user ? socket.send({ type: "error", message: "Invalid JSON" }) : refuse(socket)),
    },
    async ({ socket, signIn }) => {
      socket.send({ type: "auth_required" });
      const first = Auth.safeParse(await socket.next());
      const identity = first.success ? await signIn(first.data.token) : undefined;
      if (identity === undefined) return refuse(socket);
      socket.send({ type: "auth_success" });
      for await (const data of socket) socket.send({ type: "message", user_id: identity.user, data });
    },
  );
}

function refuse(socket: EndpointSocket): void {
  socket.send({ type: "error", message: "Authentication failed" });
  socket.close(1008, "authentication failed");
}
