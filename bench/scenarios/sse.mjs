// One room of 1,000 members, all but the publisher over SSE. What does a delivery cost, against the same over WebSockets?
import { median, medians, noteOnWaiting, verdict } from "../lib/figures.mjs";
import { makeUsers } from "../lib/load.mjs";
import { fanfare, fanfareSse } from "../lib/peers.mjs";
import { cost, measure } from "./fanout.mjs";

export async function sse({ ratePerS, quick, pairs }) {
  const [publisher] = makeUsers(1);
  const runs = new Map([fanfare(), fanfareSse(publisher)].map((peer) => [peer, []]));
  for (let round = 0; round < pairs; round++) {
    const order = round % 2 === 0 ? [...runs.keys()] : [...runs.keys()].toReversed();
    for (const peer of order) runs.get(peer).push(await measure(peer, ratePerS, quick));
  }
  const rows = [...runs].map(([peer, figures]) => ({ server: peer.name, ...medians(figures) }));
  const [sockets, streams] = [...runs.values()];
  const ratio = median(streams.map((run, n) => cost(run) / cost(sockets[n])));
  const delivered = Math.min(...streams.map((run) => run.delivered));
  return {
    rows,
    note: noteOnWaiting(rows),
    verdicts: [
      verdict(`CPU per delivery over SSE at ${ratePerS}/s, against a WebSocket`, ratio, 1.3),
      verdict(`delivered over SSE at ${ratePerS}/s`, delivered, 1, { atLeast: true }),
    ],
    runs: [...runs].map(([peer, all]) => ({ server: peer.name, all })),
  };
}
