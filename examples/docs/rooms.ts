import { defineRooms } from "fanfare/client";
import { z } from "zod";

export const rooms = defineRooms({
  "chat/:room": {
    events: { said: z.object({ text: z.string().trim().min(1).max(2_000) }) },
    signals: { typing: z.null() },
    presence: z.object({ name: z.string().max(40) }),
  },
  "orders/:id": {
    events: { changed: z.object({ state: z.enum(["paid", "packed", "sent"]) }) },
    publish: "server",
    keep: { messages: 100, ms: 7 * 86_400_000 },
  },
  "cursors/:page": {
    events: { moved: z.object({ x: z.number(), y: z.number() }) },
    keep: false,
  },
  "@:user": {
    events: { notice: z.object({ text: z.string() }) },
  },
});
