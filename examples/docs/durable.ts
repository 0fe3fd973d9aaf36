import { createHub } from "fanfare";
import { lmdb } from "fanfare/lmdb";

export function durableHub(directory: string) {
  // #region lmdb
  const hub = createHub({
    anonymous: true,
    backend: lmdb({ directory }),
    keep: { messages: 10_000, ms: 7 * 86_400_000 },
  });
  // #endregion
  return hub;
}
