import type { VNode } from "preact";
import type { ChatRoom } from "../model/room.ts";

export function Refusal({ room }: { room: ChatRoom }): VNode | null {
  const why = room.refusal.value;
  if (why === undefined) return null;
  return (
    <div class="banner bad" role="alert">
      <p>
        <strong>{why}</strong>
      </p>
      <button type="button" onClick={() => room.rejoin()}>
        Join again
      </button>
    </div>
  );
}
