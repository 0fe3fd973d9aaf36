// What does a connect cost the server: handshake, token checked and `welcome`, against a bare `ws` handshake?
import { fanfareWithoutRoom, wsBare } from "../lib/peers.mjs";
import { median, medians, noteOnWaiting, verdict } from "../lib/figures.mjs";
import { makeUsers, startLoad } from "../lib/load.mjs";
import { waitedPercent } from "../lib/process.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep } from "../lib/tools.mjs";

/** Connects that are not counted: code that runs the first time runs slowly. */
const warmUp = 2_000;

export async function connect({ quick, pairs }) {
  const ours = [];
  const theirs = [];
  for (let round = 0; round < pairs; round++) {
    const both = [
      async () => ours.push(await measure(fanfareWithoutRoom(), quick)),
      async () => theirs.push(await measure(wsBare, quick)),
    ];
    for (const one of round % 2 === 0 ? both : both.toReversed()) await one();
  }
  const ratio = median(ours.map((run, n) => cost(run) / cost(theirs[n])));
  const rows = [
    { server: "fanfare", ...medians(ours) },
    { server: "ws-bare", ...medians(theirs) },
  ];
  return {
    rows,
    note: noteOnWaiting(rows),
    verdicts: [verdict("CPU of a connect, against bare ws", ratio, 1.6)],
    runs: { fanfare: ours, "ws-bare": theirs },
  };
}

function cost(run) {
  return run["cpu µs/connect"];
}

async function measure(peer, quick) {
  const connects = quick ? 2_000 : 5_000;
  const server = await startServer(peer);
  const open = (count, from) =>
    startLoad(peer, server.port, { users: makeUsers(count, from), roomOf: () => "", concurrency: 50, sources: 4 });
  const first = await open(warmUp, 0);
  await sleep(500);
  const before = server.cpu();
  const second = await open(connects, warmUp);
  await sleep(200);
  const after = server.cpu();
  // Connections stay open until here: what a close costs is not in the figure.
  await Promise.all([first.quit(), second.quit()]);
  await server.stop();
  return {
    "cpu µs/connect": (after.ranUs - before.ranUs) / connects,
    "connects/s": (1_000 * connects) / second.opened.ms,
    "waited %": waitedPercent(1_000 * second.opened.ms, [before, after]),
  };
}
