import type { Hub } from "fanfare";
import type { rooms } from "./rooms.ts";

export async function orderSent(hub: Hub<typeof rooms>): Promise<void> {
  // #region publish
  // To a room: everyone in it now, and whoever resumes or reads its history later.
  await hub.room("orders/42").publish("changed", { state: "packed" });

  // Safe to repeat, for example by a job that may run twice: the second time appends nothing.
  await hub.room("orders/42").publish("changed", { state: "sent" }, { key: "job-7711" });

  // To a user on all devices, through the personal room @ann.
  await hub.user("ann").publish("notice", { text: "Order 42 was sent" });
  // #endregion
}

export async function toSome(hub: Hub<typeof rooms>, connection: string): Promise<void> {
  // #region some
  // To all but one connection, for example the one whose HTTP call caused it.
  await hub.room("chat/lobby").publish("said", { text: "edited" }, { from: "ann", except: connection });

  // To one connection alone; a signal, so nothing is kept.
  hub.connection(connection)?.signal("saved", { id: 42 });
  // #endregion
}

export async function look(hub: Hub<typeof rooms>) {
  // #region look
  const lobby = hub.room("chat/lobby");
  const who = await lobby.members(); // [{ user: "ann", data: { name: "Ann" } }]
  const newest = await lobby.history({ limit: 20 }); // oldest first
  const busy = await hub.rooms({ prefix: "chat/" }); // { rooms: [{ room: "chat/lobby", members: 1 }], more: false }
  // #endregion
  return { size: await lobby.size(), who, newest, busy };
}

export async function moderate(hub: Hub<typeof rooms>): Promise<void> {
  // #region moderate
  await hub.room("chat/lobby").remove("bob"); // out of this room, on all devices
  await hub.user("bob").disconnect({ revoke: true }); // closed with 4003; what was issued before now is refused
  // #endregion
}
