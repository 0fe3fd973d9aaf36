import { defineRooms } from "fanfare";
import type { Client, MessageOf } from "fanfare/client";

// #region rooms
export const rooms = defineRooms({
  // Nothing may be missing: a reader that is too slow is cut off, comes back and gets it all. The default.
  "orders/:id": { slow: "disconnect" },
  // What scrolls by: such a reader misses some of it, and is told.
  "feed/:topic": { slow: "drop" },
  // Only the newest value counts: of each event, such a reader gets the last.
  "prices/:market": { slow: "latest" },
});
// #endregion

// #region feed
/** Shows a feed, and where a part of it is missing. */
export function showFeed(client: Client<typeof rooms>, show: (line: string) => void) {
  const feed = client.join("feed/news");
  feed.on("message", ({ event }: MessageOf) => show(event));
  // `history` still has what lies between the two, where the reader wants it.
  feed.on("gap", ({ after, cursor, reason }) => show(`left out after ${after}, up to ${cursor}: ${reason}`));
  return feed;
}
// #endregion
