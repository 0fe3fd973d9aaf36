// #region client
import { createClient, type Client, type WebSocketClass } from "fanfare/client";
import { rooms } from "./rooms.ts";

async function login(page: string): Promise<string> {
  const response = await fetch(`${page}/login`, { method: "POST" });
  const { token } = (await response.json()) as { token: string };
  return token;
}

export function connect(page: string, WebSocket: WebSocketClass): Client<typeof rooms> {
  const client = createClient({ url: `${page}/ws`, rooms, WebSocket, token: () => login(page) });
  client.connect();
  return client;
}
// #endregion
// #region chat
export function openChat(client: Client<typeof rooms>, show: (line: string) => void) {
  const room = client.join("chat/lobby", { presence: true, data: { name: "Ann" }, history: 50 });
  room.on("message", ({ data, from }) => show(`${from}: ${data.text}`));
  room.on("presence", () => show(`${room.members} here: ${[...room.presence.keys()].join(", ")}`));
  room.on("signal", ({ from }) => show(`${from} is typing`));
  return room;
}
// #endregion
