import type { Page, WebSocketRoute } from "playwright-core";

/** Sits on a page's socket: cuts it, holds back new ones, answers in the server's place. */
export class Tap {
  /** Every publish is answered with this code, and never reaches the server. */
  refusal: string | undefined;
  #socket: WebSocketRoute | undefined;
  #isCut = false;

  async into(page: Page): Promise<void> {
    await page.routeWebSocket(/\/ws$/, (socket) => {
      // Refused as a server that is away refuses: the page tries again.
      if (this.#isCut) return void socket.close({ code: 1013, reason: "cut" });
      this.#socket = socket;
      const server = socket.connectToServer();
      socket.onMessage((text) => {
        const frame = JSON.parse(String(text)) as { type: string; id?: string; room?: string };
        const isRefused = this.refusal !== undefined && frame.type === "publish";
        if (!isRefused) return server.send(text);
        const { id, room } = frame;
        return socket.send(JSON.stringify({ type: "error", re: id, room, code: this.refusal, message: "refused" }));
      });
    });
  }

  cut(): void {
    this.#isCut = true;
    void this.#socket?.close({ code: 1011, reason: "cut" });
  }

  mend(): void {
    this.#isCut = false;
  }
}
