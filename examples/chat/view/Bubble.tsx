import type { VNode } from "preact";
import type { Bubble as BubbleItem } from "../model/items.ts";
import type { Outgoing } from "../model/outgoing.ts";
import { Avatar, hueOf } from "./Avatar.tsx";
import { Delivery } from "./Delivery.tsx";
import { fullTimeOf, timeOf } from "./times.ts";

/** One message. Its text is text: whatever markup it holds is shown, never run. */
export function Bubble({ bubble, outgoing }: { bubble: BubbleItem; outgoing: Outgoing }): VNode {
  const { own, first, last, text, at, delivery, key } = bubble;
  const from = bubble.from ?? "Server";
  const classes = ["bubble-row", own ? "own" : "other", first && "first", last && "last", delivery?.kind];
  return (
    <article
      class={classes.filter(Boolean).join(" ")}
      data-testid="message"
      aria-label={`${own ? "You" : from}, ${timeOf(at)}`}
    >
      {!own && <div class="bubble-avatar">{last && <Avatar name={from} />}</div>}
      <div class="bubble-stack">
        {first && !own && (
          <div class={`author hue-${hueOf(from)}`} dir="auto">
            {from}
          </div>
        )}
        <div class="bubble" title={fullTimeOf(at)}>
          <span class={isEmoji(text) ? "text big" : "text"} dir="auto" data-testid="text">
            {text}
          </span>
          {(last || delivery !== undefined) && (
            <span class="facts">
              {/* One time for a group: its last message's. */}
              {last && <time dateTime={new Date(at).toISOString()}>{timeOf(at)}</time>}
              {delivery !== undefined && <Delivery delivery={delivery} />}
            </span>
          )}
        </div>
        {delivery?.kind === "failed" && key !== undefined && (
          <div class="failure" role="alert">
            <p>
              <strong>Not sent.</strong> {delivery.reason}
            </p>
            <button type="button" onClick={() => outgoing.retry(key)}>
              Try again
            </button>
            <button type="button" onClick={() => outgoing.discard(key)}>
              Discard
            </button>
          </div>
        )}
      </div>
    </article>
  );
}

const emoji = /^(?:(?:\p{RI}{2}|\p{ExtPict}(?:\uFE0F|\p{EMod})?(?:\u200D\p{ExtPict}\uFE0F?)*)\s*){1,3}$/u;

/** Up to three, and nothing else: shown large. */
function isEmoji(text: string): boolean {
  return text.length <= 40 && emoji.test(text);
}
