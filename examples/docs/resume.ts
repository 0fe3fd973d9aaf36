import type { Client, FanfareError, MessageOf, OpenContract, Room } from "fanfare/client";

type News = Room<OpenContract["**"]>;

export interface TimelineOptions {
  /** Loads the newest messages, or whatever else the app's state is. */
  load(room: News): Promise<MessageOf[]>;
  /** Something was lost: the app says so to its user. */
  missing(reason: string): void;
}

// #region timeline
/** Keeps a list that is right after every disconnect, however long. */
export function timeline(client: Client, { load, missing }: TimelineOptions) {
  const room = client.join("news");
  let messages: MessageOf[] = [];
  let loading = Promise.resolve();

  room.on("message", (message) => {
    // While the state is loaded anew, the stream may bring what the state has already.
    if (message.offset > (messages.at(-1)?.offset ?? 0)) messages.push(message);
  });
  room.on("reset", ({ reason }) => {
    missing(reason);
    messages = [];
    loading = load(room).then((loaded) => {
      const newest = loaded.at(-1)?.offset ?? 0;
      messages = [...loaded, ...messages.filter(({ offset }) => offset > newest)];
    });
  });
  room.on("gap", ({ reason }) => missing(reason));
  return { room, messages: () => messages, loading: () => loading };
}
// #endregion

// #region outcome
/** Tells apart the three things that can become of a publish. */
export async function send(room: News, text: string): Promise<string> {
  const publishing = room.publish("said", { text });
  // Until then the app shows it as being sent, under publishing.key: the message that comes back has the same key.
  try {
    const { offset } = await publishing;
    return `kept at ${offset}`;
  } catch (error) {
    const { code } = error as FanfareError;
    return code === "outcome_unknown" ? "sent, but nobody knows whether it was kept" : `not kept: ${code}`;
  }
}
// #endregion
