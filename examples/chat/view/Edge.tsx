import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ChatRoom } from "../model/room.ts";
import type { Run } from "../model/timeline.ts";
import { Icon } from "./Icon.tsx";

/**
 * The upper end of a run of messages: the room's beginning, a place where older ones are loaded as soon as it is seen, or
 * one where messages were missed.
 */
export function Edge({ room, run, isStart }: { room: ChatRoom; run: Run; isStart: boolean }): VNode {
  const element = useRef<HTMLDivElement>(null);
  const { id, older } = run;
  const count = run.messages.length;
  useEffect(() => {
    if (older !== "more" || element.current === null) return undefined;
    const seen = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) void room.loadOlder(id);
      },
      { root: element.current.parentElement, rootMargin: "300px" },
    );
    seen.observe(element.current);
    return () => seen.disconnect();
  }, [room, id, older, count]);
  return (
    <div class={isStart ? "edge" : "edge hole"} ref={element}>
      <EdgeWords room={room} run={run} isStart={isStart} />
    </div>
  );
}

function EdgeWords({ room, run, isStart }: { room: ChatRoom; run: Run; isStart: boolean }): VNode | null {
  if (run.older === "failed") {
    return (
      <button type="button" onClick={() => void room.loadOlder(run.id)}>
        Older messages could not be loaded. Try again
      </button>
    );
  }
  if (run.older !== "none")
    return <span class="loading">{isStart ? "Loading older messages…" : "Loading what was missed…"}</span>;
  if (isStart) return run.messages.length > 0 ? <span>This is where #{room.name} begins.</span> : null;
  return (
    <span class="gap" role="note" data-testid="gap">
      <Icon name="alert" />
      Some messages could not be recovered
    </span>
  );
}
