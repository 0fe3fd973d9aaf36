import type { VNode } from "preact";
import type { ChatRoom } from "../model/room.ts";

export function TypingLine({ room }: { room: ChatRoom }): VNode {
  const users = room.typing.users.value;
  return (
    <p class="typing" data-testid="typing">
      {users.length > 0 && (
        <>
          <span class="typing-dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <span dir="auto">{typingWords(users)}</span>
        </>
      )}
    </p>
  );
}

function typingWords([first, second, ...others]: readonly string[]): string {
  if (second === undefined) return `${first} is typing…`;
  return others.length === 0 ? `${first} and ${second} are typing…` : "Several people are typing…";
}
