import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { ChatRoom } from "../model/room.ts";
import { maxTextLength } from "../rooms.ts";
import { Icon } from "./Icon.tsx";

/** The count is shown when so many characters are left. */
const warnAt = 400;

export function Composer({ room, isOnline }: { room: ChatRoom; isOnline: boolean }): VNode {
  const field = useRef<HTMLTextAreaElement>(null);
  const text = room.draft.value;
  const left = maxTextLength - text.trim().length;
  const canSend = text.trim() !== "" && left >= 0;
  useLayoutEffect(() => fit(field.current), [text]);
  // A phone's keyboard must not jump up whenever a room is opened.
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus();
  }, []);
  const send = (): void => {
    if (!canSend) return;
    room.send(text.trim());
    room.draft.value = "";
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    // While an input method composes, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      <div class="composer-field">
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          value={text}
          aria-label={`Message to ${room.name}`}
          placeholder={isOnline ? `Message #${room.name}` : "Write now, it is sent later"}
          enterkeyhint="send"
          onKeyDown={onKeyDown}
          onInput={(event) => {
            room.draft.value = event.currentTarget.value;
            if (event.currentTarget.value.trim() !== "") room.typed();
          }}
        />
        {left < warnAt && (
          <span class={left < 0 ? "left over" : "left"} role="status">
            {left < 0 ? `${-left} too many` : left}
          </span>
        )}
        <button type="submit" class="send" aria-label="Send" disabled={!canSend}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

/** As tall as its text; `max-height` in the style sheet ends that. */
function fit(field: HTMLTextAreaElement | null): void {
  if (field === null) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
