import { createHub } from "fanfare";
import { redis } from "fanfare/redis";

export function sharedHub(url: string) {
  // #region redis
  const hub = createHub({
    anonymous: true,
    backend: redis({ url, prefix: "shop:" }),
    keep: { messages: 1_000, ms: 86_400_000 },
  });
  // #endregion
  return hub;
}
