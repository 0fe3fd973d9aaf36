import type { VNode } from "preact";
import type { Delivery as DeliveryState } from "../model/timeline.ts";
import { Icon, type IconName } from "./Icon.tsx";

const signs: Readonly<Record<DeliveryState["kind"], { icon: IconName; words: string }>> = {
  sending: { icon: "clock", words: "Sending" },
  kept: { icon: "check", words: "Kept by the server" },
  failed: { icon: "alert", words: "Not sent" },
};

export function Delivery({ delivery }: { delivery: DeliveryState }): VNode {
  const { icon, words } = signs[delivery.kind];
  return (
    <span class={`delivery ${delivery.kind}`} title={words} data-testid="delivery" data-state={delivery.kind}>
      <Icon name={icon} />
      <span class="unseen">{words}</span>
    </span>
  );
}
