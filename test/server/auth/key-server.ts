import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";

export interface KeyServer extends AsyncDisposable {
  readonly url: URL;
  /** The paths that were asked for. */
  readonly requests: string[];
  /** What it answers with from now on. */
  status: number;
}

/** A server of one JSON document that counts how often it is read. */
export async function keyServer(body: unknown, status = 200): Promise<KeyServer> {
  const requests: string[] = [];
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const server = createServer((request, response) => {
    requests.push(request.url ?? "");
    response.writeHead(self.status, { "Content-Type": "application/json", Location: "/elsewhere" }).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const self: KeyServer = {
    url: new URL(`http://127.0.0.1:${port}/keys.json`),
    requests,
    status,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      if (!server.listening) return;
      server.close();
      await once(server, "close");
    },
  };
  return self;
}
