import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";
import { Announcer } from "./Announcer.tsx";
import { Composer } from "./Composer.tsx";
import { ConnectionBanner } from "./ConnectionBanner.tsx";
import { Members } from "./Members.tsx";
import { MessageList } from "./MessageList.tsx";
import { Refusal } from "./Refusal.tsx";
import { RoomHeader } from "./RoomHeader.tsx";
import { Sidebar } from "./Sidebar.tsx";
import { TypingLine } from "./TypingLine.tsx";
import { useIsNarrow } from "./useIsNarrow.ts";

export type Drawer = "rooms" | "people" | undefined;

/** Rooms, messages, people: three columns where there is room, drawers over the messages where there is not. */
export function ChatPage({ chat, signOut }: { chat: Chat; signOut: () => void }): VNode {
  const [drawer, setDrawer] = useState<Drawer>(undefined);
  const room = chat.shown.value;
  const isOnline = chat.connection.value.status.state === "online";
  const roomsAreDrawer = useIsNarrow(760);
  const peopleAreDrawer = useIsNarrow(1080);
  useEffect(() => setDrawer(undefined), [room]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") setDrawer(undefined);
      if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
        event.preventDefault();
        step(chat, event.key === "ArrowUp" ? -1 : 1);
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [chat]);
  const isCovered = drawer !== undefined && (drawer === "rooms" ? roomsAreDrawer : peopleAreDrawer);
  return (
    <div class="page">
      <Sidebar
        chat={chat}
        signOut={signOut}
        isOpen={drawer === "rooms"}
        isHidden={roomsAreDrawer && drawer !== "rooms"}
      />
      <main class="conversation" inert={isCovered}>
        <RoomHeader chat={chat} room={room} open={setDrawer} />
        <ConnectionBanner chat={chat} signOut={signOut} />
        <MessageList key={room.name} room={room} me={chat.me} />
        <Refusal room={room} />
        <TypingLine room={room} />
        <Composer key={`to ${room.name}`} room={room} isOnline={isOnline} />
      </main>
      <Members
        room={room}
        me={chat.me}
        isOnline={isOnline}
        isOpen={drawer === "people"}
        isHidden={peopleAreDrawer && drawer !== "people"}
        close={() => setDrawer(undefined)}
      />
      {isCovered && <div class="scrim" onClick={() => setDrawer(undefined)} />}
      <Announcer key={`in ${room.name}`} room={room} connection={chat.connection.value.status} />
    </div>
  );
}

function step(chat: Chat, by: number): void {
  const rooms = chat.rooms.value;
  const next = rooms[(rooms.indexOf(chat.shown.value) + by + rooms.length) % rooms.length];
  if (next !== undefined) chat.open(next.name);
}
