import { connect, createServer, type Socket } from "node:net";

/** A way to a NATS server on which messages with a certain text get lost. */
export interface Losing {
  readonly url: string;
  /** How many were lost so far. */
  lost(): number;
  stopLosing(): void;
  close(): Promise<void>;
}

/** Passes on all that a NATS server sends but messages whose bytes hold `text`: whole ones, so that the rest can be read. */
export async function losing(port: number, text: string): Promise<Losing> {
  let count = 0;
  let isLosing = true;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    }
    client.pipe(upstream);
    let left = Buffer.alloc(0);
    upstream.on("data", (bytes: Buffer) => {
      left = Buffer.concat([left, bytes]);
      for (let frame = firstFrame(left); frame > 0; frame = firstFrame(left)) {
        const one = left.subarray(0, frame);
        left = left.subarray(frame);
        if (isLosing && one.includes(text)) count++;
        else client.write(one);
      }
    });
    upstream.on("close", () => client.destroy());
    client.on("close", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `nats://127.0.0.1:${address.port}`,
    lost: () => count,
    stopLosing: () => (isLosing = false),
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** How long the first whole line is, with the payload that belongs to it; 0 where it is not there yet. */
function firstFrame(bytes: Buffer): number {
  const end = bytes.indexOf("\r\n");
  if (end < 0) return 0;
  const line = bytes.subarray(0, end).toString();
  const length = /^H?MSG /.test(line) ? end + 2 + Number(line.split(" ").at(-1)) + 2 : end + 2;
  return bytes.length >= length ? length : 0;
}
