import type { VNode } from "preact";
import { isCommon } from "../model/chat.ts";
import type { ChatRoom } from "../model/room.ts";
import { Icon } from "./Icon.tsx";

export function RoomLink(props: { room: ChatRoom; isShown: boolean; leave: () => void }): VNode {
  const { room, isShown, leave } = props;
  const unread = isShown ? 0 : room.unread.value;
  const here = room.memberCount.value;
  const hasDraft = !isShown && room.draft.value.trim() !== "";
  return (
    <li class={isShown ? "room shown" : "room"}>
      <a href={`#/${encodeURIComponent(room.name)}`} aria-current={isShown ? "page" : undefined}>
        <Icon name="hash" />
        <span class={unread > 0 ? "room-name has-unread" : "room-name"}>{room.name}</span>
        <span class="here" title={`${here} here`}>
          <Icon name="people" />
          {here}
          <span class="unseen"> here</span>
        </span>
        {hasDraft && <span class="draft-mark">Draft</span>}
        {unread > 0 && (
          <span class="badge" data-testid={`unread ${room.name}`}>
            {unread > 99 ? "99+" : unread}
            <span class="unseen"> unread</span>
          </span>
        )}
      </a>
      {!isCommon(room.name) && (
        <button type="button" class="plain small" aria-label={`Leave ${room.name}`} title="Leave" onClick={leave}>
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}
