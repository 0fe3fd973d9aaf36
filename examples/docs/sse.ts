// Listening from a page over SSE, with nothing but what a browser has.

// #region listen
interface Message {
  type: "message";
  offset: number;
  event: string;
  data: unknown;
}

/** Those that this page looks at. */
type Frame = Message | { type: "joined"; recovered?: boolean } | { type: "closed"; code: number };

/** Calls `show` for each message of a room, in order, each once; `load` where some cannot be had any more. */
export function listen(room: string, show: (message: Message) => void, load: () => void): EventSource {
  const source = new EventSource(`/sse?room=${encodeURIComponent(room)}`);
  source.onmessage = (event: MessageEvent<string>) => {
    const frame = JSON.parse(event.data) as Frame;
    if (frame.type === "message") show(frame);
    if (frame.type === "joined" && frame.recovered === false) load();
    // 4000 to 4099: stop. An EventSource would come back.
    if (frame.type === "closed" && frame.code >= 4000 && frame.code < 4100) source.close();
  };
  return source;
}
// #endregion
