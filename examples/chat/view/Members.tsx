import type { VNode } from "preact";
import type { ChatRoom } from "../model/room.ts";
import { Avatar } from "./Avatar.tsx";
import { Icon } from "./Icon.tsx";
import { useFocus } from "./useFocus.ts";

interface MembersProps {
  readonly room: ChatRoom;
  readonly me: string;
  readonly isOnline: boolean;
  readonly isOpen: boolean;
  readonly isHidden: boolean;
  close(): void;
}

export function Members({ room, me, isOnline, isOpen, isHidden, close }: MembersProps): VNode {
  const drawer = useFocus(isOpen);
  const members = room.members.value;
  const typing = room.typing.users.value;
  const count = room.memberCount.value;
  return (
    <aside
      ref={drawer}
      tabIndex={-1}
      class={isOpen ? "members open" : "members"}
      inert={isHidden}
      aria-label="People in this room"
    >
      <header>
        <h2 class="caption">
          {isOnline ? "Here now" : "Last seen here"} · {count}
        </h2>
        <button type="button" class="plain close" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <ul class="people">
        {members.map(({ user, name }) => (
          <li key={user} data-testid={`member ${user}`}>
            <Avatar name={name} />
            <span class="person" dir="auto">
              {name}
            </span>
            {user === me && <span class="you">you</span>}
            {typing.includes(user) && <span class="you">typing…</span>}
          </li>
        ))}
      </ul>
      {count > members.length && <p class="quiet">Too many to list.</p>}
    </aside>
  );
}
