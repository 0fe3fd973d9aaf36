import { closeCodes } from "../protocol/codes.ts";
import { encodeFrame } from "../protocol/encode.ts";
import type { Connected } from "./connected.ts";

/** P-53: clients are told to come back within this after their close, each at its own moment. */
export const spreadMs = 2_000;
/** How long the last clients have to answer their close. */
const farewellMs = 500;
/** How long the answers to what was read may take, where the drain does not leave more. */
const answerMs = 700;
/** After `drainMs` whoever is not done is cut off within this: the answers, and then the farewell. */
export const lastAnswerMs: number = answerMs + farewellMs;
/** How often a connection that is to be closed is asked whether its requests are answered. */
const pollMs = 10;

export interface DrainOptions {
  readonly drainMs: number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/**
 * Sends every connection on its way (P-53): `drain` at once, and closes spread evenly over `drainMs`, each after what
 * its client has asked is answered. Resolves when all sockets are gone, 1.2 s after `drainMs` at the latest: who
 * has not answered its close by then is cut off.
 */
export async function drain(connections: readonly Connected[], { drainMs, random }: DrainOptions): Promise<void> {
  for (const connection of connections) {
    connection.retryAfterMs = Math.floor(random() * spreadMs);
    // P-12: nothing comes before `welcome`.
    if (!connection.isWelcome) continue;
    connection.send(encodeFrame({ type: "drain", retry_after_ms: connection.retryAfterMs }));
  }
  const endAt = performance.now() + drainMs;
  await Promise.all(
    connections.map(async (connection, i) => {
      // In the middle of its share: a lone client has time left to use, and the last one is not cut short.
      await sleep((drainMs * (i + 0.5)) / connections.length);
      // On a busy connection there is never an idle moment: no more is read, and what was read is answered.
      connection.stopReading();
      const until = Math.max(endAt, performance.now() + answerMs);
      while (!connection.closed && connection.pending > 0 && performance.now() < until) {
        await sleep(pollMs);
      }
      connection.close(closeCodes.restart, "restart");
    }),
  );
  await allGone(connections, performance.now() + farewellMs);
}

/** Resolves when `settled` does, or after `ms`. */
export async function settledWithin(ms: number, settled: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([settled, late]);
  clearTimeout(timer);
}

async function allGone(connections: readonly Connected[], until: number): Promise<void> {
  const open = (): Connected[] => connections.filter(({ isGone }) => !isGone);
  while (open().length > 0 && performance.now() < until) await sleep(pollMs);
  for (const connection of open()) connection.terminate();
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
