import { type AddressInfo, connect as dial, createServer, type Socket } from "node:net";

/** Passes connections on to a port, until it is told to swallow what comes back, with the connections left open. */
export interface StallingProxy {
  readonly port: number;
  /** What comes back over the connections that exist now is lost from here on; new ones are not concerned. */
  stall(): void;
  /** As `stall`, of those connections alone over which this text was sent. */
  stallWhereSent(text: string): void;
  close(): Promise<void>;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  sent: string;
  isStalled: boolean;
}

export async function startProxy(target: number): Promise<StallingProxy> {
  const pairs = new Set<Pair>();
  const server = createServer((near) => {
    const pair: Pair = { near, far: dial(target, "127.0.0.1"), sent: "", isStalled: false };
    pairs.add(pair);
    const { far } = pair;
    near.on("data", (chunk) => {
      pair.sent = (pair.sent + chunk.toString("latin1")).slice(-100_000);
      far.write(chunk);
    });
    far.on("data", (chunk) => void (pair.isStalled || near.write(chunk)));
    const end = (): void => {
      near.destroy();
      far.destroy();
      pairs.delete(pair);
    };
    for (const socket of [near, far]) socket.on("error", end).on("close", end);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const stallIf = (isMeant: (pair: Pair) => boolean): void => {
    for (const pair of pairs) if (isMeant(pair)) pair.isStalled = true;
  };
  return {
    port: (server.address() as AddressInfo).port,
    stall: () => stallIf(() => true),
    stallWhereSent: (text) => stallIf(({ sent }) => sent.toLowerCase().includes(text)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const { near, far } of pairs) {
          near.destroy();
          far.destroy();
        }
      }),
  };
}
