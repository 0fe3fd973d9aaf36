import { WebSocket } from "ws";
import { createClient } from "../../src/client/index.ts";
import { emptyDirectory, type Running, start } from "../cli/process.ts";

/** `fanfare serve --dev` on the durable log, which can be killed and started again where it was. */
export class ChatServer {
  readonly url: string;
  readonly #args: readonly string[];
  #running: Running;

  private constructor(url: string, args: readonly string[], running: Running) {
    this.url = url;
    this.#args = args;
    this.#running = running;
  }

  static async start(extra: readonly string[]): Promise<ChatServer> {
    const args = ["serve", "--dev", "--backend", `lmdb:${emptyDirectory()}`, "--log-level", "warn", ...extra];
    const running = start([...args, "--port", "0"]);
    return new ChatServer(await running.url, args, running);
  }

  async kill(): Promise<void> {
    this.#running.signal("SIGKILL");
    await this.#running.ended;
  }

  async restart(): Promise<void> {
    this.#running = start([...this.#args, "--port", new URL(this.url).port]);
    await this.#running.url;
  }

  /** Messages of someone without a page. */
  async publish(user: string, room: string, texts: readonly string[]): Promise<void> {
    const body = JSON.stringify({ user });
    const answer = await fetch(`${this.url}/dev/token`, { method: "POST", body });
    const { token } = (await answer.json()) as { token: string };
    const client = createClient({ url: `${this.url}/ws`, token, WebSocket });
    client.connect();
    const handle = client.join(room);
    await Promise.all(texts.map((text) => handle.publish("message", { text })));
    client.close();
  }
}
