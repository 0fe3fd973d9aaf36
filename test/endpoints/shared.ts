import type { Backend, RoomListener } from "../../src/backends/backend.ts";
import { memory } from "../../src/backends/memory/index.ts";

/** What several hubs of one process share as processes share an engine: its rooms and relays, opened once. */
export function sharedBackend(): { of: () => Backend; subscribed: Set<RoomListener> } {
  const shared = memory();
  const subscribed = new Set<RoomListener>();
  const opened = Promise.resolve(shared.open({ now: Date.now, log: () => undefined }));
  const of = (): Backend => {
    const backend = Object.create(shared) as Backend;
    backend.open = () => opened;
    backend.close = async () => undefined;
    backend.subscribe = async (room, listener) => {
      subscribed.add(listener);
      const subscription = await shared.subscribe(room, listener);
      const unsubscribe = (): void => {
        subscribed.delete(listener);
        subscription.close();
      };
      return { ...subscription, close: unsubscribe };
    };
    backend.relay = (room, text) => shared.relay(room, text);
    return backend;
  };
  return { of, subscribed };
}
