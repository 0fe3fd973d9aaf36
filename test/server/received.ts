import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { connect, type AddressInfo } from "node:net";

/** A request as Node reads it from the wire: the given lines, and a body if there is one. */
export async function receive(lines: readonly string[], body = ""): Promise<IncomingMessage> {
  const server = createServer({ requireHostHeader: false });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  try {
    socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
    const [request] = await Promise.race([once(server, "request"), once(server, "upgrade"), failure(server)]);
    return request as IncomingMessage;
  } finally {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  }
}

async function failure(server: ReturnType<typeof createServer>): Promise<never> {
  const [error] = await once(server, "clientError");
  throw error;
}
