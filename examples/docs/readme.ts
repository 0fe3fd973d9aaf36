// #region imports-server
import { createHub } from "fanfare";
// #endregion
// #region imports-client
import { createClient } from "fanfare/client";
// #endregion
import type { Client, MessageOf, WebSocketClass } from "fanfare/client";

export async function serve(port: number) {
  // #region server
  const hub = createHub({ anonymous: true });
  const { url } = await hub.listen({ port });
  await hub.room("lobby").publish("said", { text: `hello from ${url}` });
  // #endregion
  return { hub, url };
}

/** In Node 20 there is no global WebSocket, so that one is given. */
export async function talk(url: string, WebSocket: WebSocketClass, show: (m: MessageOf) => void): Promise<Client> {
  // #region client
  const client = createClient({ url: `${url}/ws`, WebSocket });
  client.connect();
  const room = client.join("lobby", { history: 50 });
  room.on("message", show); // { offset: 1, event: "said", data: { text: … }, … }
  await room.publish("said", { text: "hi" }); // resolves when it is in the log
  // #endregion
  return client;
}
