import type { ClientStatus } from "fanfare/client";
import type { VNode } from "preact";
import type { ChatRoom } from "../model/room.ts";
import { connectionWords } from "./connectionWords.ts";

/**
 * Says aloud what others write in the room that is shown (a live region on the list would also read out its history), and
 * how it stands with the connection (the banner itself counts seconds).
 */
export function Announcer({ room, connection }: { room: ChatRoom; connection: ClientStatus }): VNode {
  const message = room.newest.value;
  return (
    <>
      <p class="unseen" aria-live="polite">
        {message !== undefined && `${message.from ?? "The server"}: ${message.text}`}
      </p>
      <p class="unseen" role="status">
        {connectionWords(connection)}
      </p>
    </>
  );
}
