// Listening from a page over SSE, with nothing but what a browser has.

// #region listen
interface Message {
  offset: number;
  event: string;
  data: unknown;
}

/** Calls `show` for each message of a room, in order, each once; `load` where some cannot be had any more. */
export function listen(room: string, show: (message: Message) => void, load: () => void): EventSource {
  const source = new EventSource(`/sse?room=${encodeURIComponent(room)}`);
  source.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "message") show(frame);
    if (frame.type === "joined" && frame.recovered === false) load();
    // 4000 to 4099: stop. An EventSource would come back.
    if (frame.type === "closed" && frame.code >= 4000 && frame.code < 4100) source.close();
  };
  return source;
}
// #endregion
