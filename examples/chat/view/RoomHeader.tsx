import type { VNode } from "preact";
import type { Chat } from "../model/chat.ts";
import type { ChatRoom } from "../model/room.ts";
import type { Drawer } from "./ChatPage.tsx";
import { Icon } from "./Icon.tsx";

export function RoomHeader(props: { chat: Chat; room: ChatRoom; open: (drawer: Drawer) => void }): VNode {
  const { chat, room, open } = props;
  const count = room.memberCount.value;
  const unread = chat.unread.value - room.unread.value;
  return (
    <header class="room-header">
      <button type="button" class="plain to-rooms" aria-label="Rooms" onClick={() => open("rooms")}>
        <Icon name="menu" />
        {unread > 0 && <span class="dot" />}
      </button>
      <h1>
        <Icon name="hash" />
        <span>{room.name}</span>
      </h1>
      <button type="button" class="plain to-people" aria-label={`${count} here`} onClick={() => open("people")}>
        <Icon name="people" />
        <span data-testid="count">{count}</span>
      </button>
    </header>
  );
}
