import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { connect, openChat } from "./start-client.ts";

const print = (line: unknown): void => void process.stdout.write(`${String(line)}\n`);

// Sends what is typed, and shows what comes.
const client = connect(process.argv[2] ?? "http://127.0.0.1:8080", WebSocket);
const room = openChat(client, print);
for await (const text of createInterface({ input: process.stdin })) {
  await room.publish("said", { text }).catch(print);
}
