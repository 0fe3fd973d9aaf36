import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { connect, openChat } from "./start-client.ts";

// Sends what is typed, and shows what comes.
const client = connect(process.argv[2] ?? "http://127.0.0.1:8080", WebSocket);
const room = openChat(client, console.log);
for await (const text of createInterface({ input: process.stdin })) {
  await room.publish("said", { text }).catch(console.error);
}
