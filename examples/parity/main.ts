import type { AddressInfo } from "node:net";
import { parityApp } from "./app.ts";

/** Serves the examples, set up by the environment, until it is told to end. */
export function main(env: NodeJS.ProcessEnv, say: (line: string) => void): void {
  const port = wholeNumber(env, "PORT", { otherwise: 8080, from: 0, to: 65_535 });
  const secret = env["SECRET"] || "only for trying it out: 32 bytes or more";
  const { hub, server } = parityApp({
    secret,
    heartbeatMs: wholeNumber(env, "HEARTBEAT_MS", { otherwise: 30_000 }),
    pongMs: wholeNumber(env, "PONG_MS", { otherwise: 10_000 }),
  });
  server.once("error", ({ message }) => {
    process.stderr.write(`${message}\n`);
    process.exit(1);
  });
  server.listen(port, env["HOST"] || "127.0.0.1", () => {
    const { address, port } = server.address() as AddressInfo;
    say(`The parity examples listen on http://${address}:${port}`);
  });
  const stop = async (): Promise<void> => {
    await hub.close({ drainMs: 1_000 });
    server.close();
    server.closeAllConnections();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void stop());
}

interface Bounds {
  readonly otherwise: number;
  readonly from?: number;
  readonly to?: number;
}

/** Ends the process with 2 where it is none. A timer of Node's takes 2^31 - 1 ms at most. */
function wholeNumber(env: NodeJS.ProcessEnv, name: string, { otherwise, from = 1, to = 2 ** 31 - 1 }: Bounds): number {
  const value = Number(env[name] || otherwise);
  if (Number.isInteger(value) && value >= from && value <= to) return value;
  process.stderr.write(`${name} must be a whole number from ${from} to ${to}, got ${JSON.stringify(env[name])}\n`);
  process.exit(2);
}
