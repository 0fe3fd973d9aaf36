import type { ComponentChildren, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Chat } from "../model/chat.ts";
import { whyStopped, whyWaiting } from "../model/reasons.ts";

/** What keeps the page from being online, and what the person can do about it. Nothing where all is well. */
export function ConnectionBanner({ chat, signOut }: { chat: Chat; signOut: () => void }): VNode | null {
  const { status, since, wasOnline } = chat.connection.value;
  const retry = (): void => chat.client.connect();
  switch (status.state) {
    case "online":
    case "idle":
      return null;
    case "connecting":
      // The first connection is a matter of a moment, and a banner that flashes by is noise.
      return wasOnline ? <Banner tone="calm" words="Reconnecting…" detail={promise} /> : null;
    case "waiting":
      return (
        <Banner
          tone="warn"
          words={<Countdown why={whyWaiting(status)} until={since + status.retryInMs} />}
          detail={promise}
        >
          <button type="button" onClick={retry}>
            Retry now
          </button>
        </Banner>
      );
    case "offline":
      return (
        <Banner tone="warn" words="No network." detail={promise}>
          <button type="button" onClick={retry}>
            Try anyway
          </button>
        </Banner>
      );
    case "stopped":
      return (
        <Banner tone="bad" words={whyStopped(status)} detail="Nothing is sent until you connect again.">
          <button type="button" onClick={retry}>
            Connect
          </button>
          <button type="button" onClick={signOut}>
            Sign out
          </button>
        </Banner>
      );
  }
}

const promise = "What you write is sent when it is back.";

interface BannerProps {
  readonly tone: "calm" | "warn" | "bad";
  readonly words: ComponentChildren;
  readonly detail: string;
  readonly children?: ComponentChildren;
}

function Banner({ tone, words, detail, children }: BannerProps): VNode {
  return (
    <div class={`banner ${tone}`} data-testid="banner">
      <p>
        <strong>{words}</strong> <span>{detail}</span>
      </p>
      {children}
    </div>
  );
}

function Countdown({ why, until }: { why: string; until: number }): VNode {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [until]);
  const seconds = Math.max(0, Math.ceil((until - now) / 1_000));
  return (
    <>
      {why} {seconds > 0 ? `Next try in ${seconds}\u00a0s.` : "Trying…"}
    </>
  );
}
