import type { VNode } from "preact";
import { dayOf } from "./times.ts";

export function DayLine({ at }: { at: number }): VNode {
  return (
    <div class="line day" role="separator">
      <span>{dayOf(at, Date.now())}</span>
    </div>
  );
}

export function UnreadLine(): VNode {
  return (
    <div class="line unread" role="separator">
      <span>New</span>
    </div>
  );
}
