import type { AddressInfo } from "node:net";
import { parityApp } from "./app.ts";

/** Serves the examples, set up by the environment, until it is told to end. */
export function main(env: NodeJS.ProcessEnv, say: (line: string) => void): void {
  const secret = env["SECRET"] || "only for trying it out: 32 bytes or more";
  const { hub, server } = parityApp({
    secret,
    heartbeatMs: milliseconds(env, "HEARTBEAT_MS", 30_000),
    pongMs: milliseconds(env, "PONG_MS", 10_000),
  });
  server.listen(Number(env["PORT"] || 8080), env["HOST"] || "127.0.0.1", () => {
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

function milliseconds(env: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const value = Number(env[name] || otherwise);
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be whole milliseconds, 1 or more`);
  return value;
}
