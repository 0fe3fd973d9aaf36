import { once } from "node:events";
import { createServer } from "node:net";

/** Under the ports that Linux gives to connections, and to servers that ask for any: 32,768 and up. */
const lowest = 12_000;
const highest = 32_000;
const mostTries = 100;

/**
 * A port of this machine that nobody listens on now. The system gives it to nobody by itself, so it is still free when a
 * program that takes a while to start listens on it, and when that program is down for a moment.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < mostTries; tries++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (await isFree(port)) return port;
  }
  throw new Error(`${mostTries} ports from ${lowest} to ${highest} are all taken`);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
  } catch {
    return false;
  }
  probe.close();
  await once(probe, "close");
  return true;
}
