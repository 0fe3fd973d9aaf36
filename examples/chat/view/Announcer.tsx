import type { VNode } from "preact";
import type { ChatRoom } from "../model/room.ts";

/** Says aloud what others write in the room that is shown: a live region on the list would also read out its history. */
export function Announcer({ room }: { room: ChatRoom }): VNode {
  const message = room.newest.value;
  return (
    <p class="unseen" aria-live="polite">
      {message !== undefined && `${message.from ?? "The server"}: ${message.text}`}
    </p>
  );
}
