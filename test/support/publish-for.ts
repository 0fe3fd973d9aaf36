import type { Peer } from "./socket.ts";

/** The data of each message. */
export const payload: string = "x".repeat(50_000);

const everyMs = 5;
/** Of what fits into the time: so many are published where the machine is too busy for all of them. */
const leastShare = 0.7;

/**
 * Publishes about 10 MB a second into a room, waits for each message to reach a reader that reads, and gives the slowest
 * delivery but one percent, in milliseconds. The events go round.
 */
export async function publishFor(
  ms: number,
  publisher: Peer,
  reader: Peer,
  room: string,
  events: readonly string[] = ["e"],
): Promise<number> {
  const tookMs: number[] = [];
  const startedAt = performance.now();
  const least = (ms / everyMs) * leastShare;
  for (let n = 0; n < least || performance.now() - startedAt < ms; n++) {
    const sentAt = performance.now();
    publisher.send({ type: "publish", room, event: events[n % events.length]!, data: payload, echo: false });
    await reader.expect({ type: "message" });
    tookMs.push(performance.now() - sentAt);
    const dueInMs = startedAt + (n + 1) * everyMs - performance.now();
    if (dueInMs > 0) await new Promise((resolve) => setTimeout(resolve, dueInMs));
  }
  return tookMs.sort((a, b) => a - b)[Math.floor(tookMs.length * 0.99)]!;
}
