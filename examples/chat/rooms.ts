import { defineRooms } from "fanfare/client";
import * as v from "valibot";

/** In UTF-16 code units, as `maxlength` of a text field counts. */
export const maxTextLength = 4_000;

/** What this page says and hears: a name or payload that is not declared here does not compile. */
export const rooms = defineRooms({
  "chat/:room": {
    events: { message: v.object({ text: v.pipe(v.string(), v.minLength(1), v.maxLength(maxTextLength)) }) },
    signals: { typing: v.object({}) },
    presence: v.object({ name: v.string() }),
  },
});

export type ChatContract = typeof rooms;
export type ChatSpec = ChatContract["chat/:room"];
