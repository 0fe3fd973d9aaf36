import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { layOut, type Item } from "../model/items.ts";
import type { ChatRoom } from "../model/room.ts";
import { Bubble } from "./Bubble.tsx";
import { DayLine, UnreadLine } from "./Dividers.tsx";
import { Edge } from "./Edge.tsx";
import { Icon } from "./Icon.tsx";
import { Scroller } from "./scroller.ts";

/** The messages of one room, kept at the end while one is at the end, and where one reads while one reads back. */
export function MessageList({ room, me }: { room: ChatRoom; me: string }): VNode {
  const list = useRef<HTMLDivElement>(null);
  const scroller = useRef<Scroller | undefined>(undefined);
  const [isAtEnd, setIsAtEnd] = useState(true);
  const timeline = room.timeline.value;
  const unreadFrom = room.unreadFrom.value;
  const items = useMemo(() => layOut(timeline, me, unreadFrom), [timeline, me, unreadFrom]);
  const lastOwn = timeline.pending.at(-1)?.key;

  useEffect(() => {
    if (list.current === null) return undefined;
    const made = new Scroller(list.current, (isAtEnd) => {
      setIsAtEnd(isAtEnd);
      room.readBack(!isAtEnd);
    });
    scroller.current = made;
    return () => made.end();
  }, [room]);
  useLayoutEffect(() => scroller.current?.settle(), [items]);
  // What one writes oneself is always looked at.
  useLayoutEffect(() => {
    if (lastOwn !== undefined) scroller.current?.toEnd();
  }, [lastOwn]);

  return (
    <div class="messages-frame">
      {/* Focusable, so that the keyboard can scroll it. */}
      <div class="messages" ref={list} tabIndex={0} role="region" aria-label={`Messages in ${room.name}`}>
        {items.map((item) => (
          <Row key={item.id} item={item} room={room} />
        ))}
        {items.every(({ type }) => type === "edge") && <Empty name={room.name} />}
      </div>
      {!isAtEnd && (
        <button type="button" class="to-end" onClick={() => scroller.current?.toEnd()}>
          <Icon name="down" />
          Newest
        </button>
      )}
    </div>
  );
}

function Row({ item, room }: { item: Item; room: ChatRoom }): VNode {
  switch (item.type) {
    case "edge":
      return <Edge room={room} run={item.run} isStart={item.isStart} />;
    case "day":
      return <DayLine at={item.at} />;
    case "unread":
      return <UnreadLine />;
    case "bubble":
      return <Bubble bubble={item} outgoing={room.outgoing} />;
  }
}

function Empty({ name }: { name: string }): VNode {
  return (
    <div class="empty">
      <span class="empty-mark">
        <Icon name="fanfare" />
      </span>
      <p>
        Nobody has said anything in <strong>#{name}</strong> yet.
      </p>
    </div>
  );
}
