import type { VNode } from "preact";
import type { Chat } from "../model/chat.ts";
import { AddRoom } from "./AddRoom.tsx";
import { Avatar } from "./Avatar.tsx";
import { connectionWords } from "./connectionWords.ts";
import { Icon } from "./Icon.tsx";
import { Logo } from "./Logo.tsx";
import { RoomLink } from "./RoomLink.tsx";
import { useFocus } from "./useFocus.ts";

interface SidebarProps {
  readonly chat: Chat;
  readonly isOpen: boolean;
  readonly isHidden: boolean;
  signOut(): void;
}

export function Sidebar({ chat, isOpen, isHidden, signOut }: SidebarProps): VNode {
  const drawer = useFocus(isOpen);
  const { status } = chat.connection.value;
  return (
    <aside ref={drawer} tabIndex={-1} class={isOpen ? "sidebar open" : "sidebar"} inert={isHidden} aria-label="Rooms">
      <Logo />
      <nav aria-label="Rooms">
        <h2 class="caption">Rooms</h2>
        <ul class="rooms">
          {chat.rooms.value.map((room) => (
            <RoomLink key={room.name} room={room} isShown={room === chat.shown.value} leave={() => chat.leave(room)} />
          ))}
        </ul>
      </nav>
      <AddRoom open={(name) => chat.open(name)} />
      <div class="self">
        <Avatar name={chat.me} />
        <div class="self-words">
          <strong dir="auto">{chat.me}</strong>
          <span class={`connection ${status.state}`} data-testid="connection">
            {connectionWords(status)}
          </span>
        </div>
        <button type="button" class="plain" aria-label="Sign out" title="Sign out" onClick={signOut}>
          <Icon name="exit" />
        </button>
      </div>
    </aside>
  );
}
