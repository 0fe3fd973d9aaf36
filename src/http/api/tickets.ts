import { jsonAnswer } from "../answer.ts";
import { toHttpError, unavailable } from "../errors.ts";
import { type Route, route } from "./route.ts";
import { schemaNamed } from "./schema.ts";

/** The call takes no body; a small one is read and ignored, because some HTTP clients cannot post without. */
const maxIgnoredBytes = 4_096;

export const ticketRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/tickets",
    operation: "createTicket",
    summary: "Make a one-use ticket, for a connection that cannot send a header",
    audience: "user",
    success: { status: 200, tells: "Good once, within 30 s", schema: schemaNamed("Ticket") },
    run: async ({ hub, caller, request }) => {
      await request.body(maxIgnoredBytes);
      if (caller.kind !== "user") throw toHttpError(new TypeError("a ticket is a user's"));
      const ticket = hub.tickets.create(caller.identity);
      return jsonAnswer(200, await ticket.catch((error: unknown) => Promise.reject(unavailable(error))));
    },
  }),
];
