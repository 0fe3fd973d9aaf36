import type { VNode } from "preact";
import { Icon } from "./Icon.tsx";

export function Logo(): VNode {
  return (
    <div class="logo">
      <span class="logo-mark">
        <Icon name="fanfare" />
      </span>
      Fanfare
    </div>
  );
}
