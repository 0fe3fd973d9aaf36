import { createHub, jwt, Refused, type Hub } from "fanfare";
import { rooms } from "./rooms.ts";

/** What the app's database would do. */
export interface Store {
  isMember(user: string, room: string): Promise<boolean>;
  isMuted(user: string): Promise<boolean>;
  save(room: string, user: string, text: string): Promise<number>;
}

export function chatHub(secret: string, store: Store): Hub<typeof rooms> {
  // #region handlers
  const hub = createHub({ rooms, auth: jwt({ secret, defaultRooms: ["chat/*"] }) });

  hub.on("chat/:room", {
    async authorize({ user, params }) {
      return store.isMember(user, params.room);
    },
    join({ data }) {
      if (data?.name === "admin") throw new Refused("invalid_data", "that name is taken");
    },
    publish: {
      async said({ user, room, data }) {
        if (await store.isMuted(user)) throw new Refused("forbidden", "you are muted");
        const id = await store.save(room, user, data.text);
        return { data: { text: data.text.replaceAll("darn", "d***") }, result: { id } };
      },
    },
  });
  // #endregion
  return hub;
}
