import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { onTestFinished } from "vitest";
import type { ApiHub } from "../../../src/http/api/route.ts";
import { defaultLimits, type Identity } from "../../../src/server/index.ts";

/** A hub that knows one token, `good`, of user ann, unless told otherwise. */
export function fakeHub(changes: Partial<ApiHub> = {}): ApiHub {
  const ann: Identity = { user: "ann" };
  const notAsked = (): never => {
    throw new Error("this test asks for no rooms");
  };
  return {
    start: () => Promise.resolve(),
    limits: defaultLimits,
    rooms: notAsked,
    calls: {
      allow: () => undefined,
      publish: notAsked,
      signal: notAsked,
      history: notAsked,
      members: notAsked,
      remove: notAsked,
      disconnect: notAsked,
    },
    ready: () => Promise.resolve({ ready: true, reasons: [] }),
    authenticate: ({ token }) => Promise.resolve(token === "good" ? ann : undefined),
    tickets: { create: (identity) => Promise.resolve({ ticket: `ticket-of-${identity.user}`, expires_at: 30_000 }) },
    addressOf: ({ socket }) => socket.remoteAddress ?? "",
    ...changes,
  };
}

/** Serves on a free port of the loopback until the test ends; gives the address, without a slash at its end. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Sends a request as written, which `fetch` would tidy up, and gives all that came back until the server closed. */
export async function sendRaw(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.end(text);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}
