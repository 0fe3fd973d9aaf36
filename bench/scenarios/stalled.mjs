// A reader that stops reading while its room gets 10 MB a second. What does it cost the server, and the others?
import { fanfare, wsRooms } from "../lib/peers.mjs";
import { median, noteOnWaiting, verdict } from "../lib/figures.mjs";
import { makeData, makeUsers, startLoad } from "../lib/load.mjs";
import { waitedPercent } from "../lib/process.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep } from "../lib/tools.mjs";

const readers = 20;
const ratePerS = 1_000;
const messageBytes = 10_000;

export async function stalled({ quick, pairs }) {
  const seconds = quick ? 10 : 60;
  const runs = [];
  for (let round = 0; round < pairs; round++) {
    const without = () => measure(fanfare(), 0, seconds);
    const withOne = () => measure(fanfare(), 1, seconds);
    const swap = round % 2 === 1;
    const first = await (swap ? withOne() : without());
    const second = await (swap ? without() : withOne());
    runs.push(swap ? { without: second, withOne: first } : { without: first, withOne: second });
  }
  // For contrast, and not for long: it keeps all that the reader does not take.
  const contrast = await measure(wsRooms, 1, 10);
  const of = (which, name) => median(runs.map((run) => run[which][name]));
  const row = (server, which) => ({ server, ...Object.fromEntries(names.map((name) => [name, of(which, name)])) });
  const growth = median(runs.map((run) => run.withOne["peak rss MB"] - run.without["peak rss MB"]));
  const slower = median(runs.map((run) => run.withOne["p99 ms"] / run.without["p99 ms"]));
  const rows = [
    row("fanfare, all read", "without"),
    row("fanfare, one stalled", "withOne"),
    { server: "ws, one stalled, 10 s", ...contrast },
  ];
  return {
    rows,
    note: noteOnWaiting(rows),
    verdicts: [
      verdict("peak RSS over the run without a stalled reader", growth, 16, { unit: " MB" }),
      verdict("others' p99 against the run without", slower, 1.5),
      verdict("delivered to the others", Math.min(...runs.map((run) => run.withOne.delivered)), 1, { atLeast: true }),
    ],
    runs,
  };
}

const names = ["seconds", "delivered", "MB/s", "cpu %", "p50 ms", "p99 ms", "peak rss MB", "sockets gone", "waited %"];

async function measure(peer, stall, seconds) {
  const server = await startServer(peer);
  const load = await startLoad(peer, server.port, {
    users: makeUsers(readers + stall),
    roomOf: () => "bench",
    data: makeData(messageBytes),
    stall,
  });
  const before = { ...(await load.report()), server: server.cpu(), load: load.cpu() };
  const socketsBefore = server.countSockets();
  load.start(ratePerS);
  await sleep(seconds * 1_000);
  load.stop();
  await sleep(1_000);
  const after = { ...(await load.report()), server: server.cpu(), load: load.cpu() };
  const socketsGone = socketsBefore - server.countSockets();
  const { peakBytes } = server.memory();
  await load.quit();
  await server.stop();
  const wallUs = after.at_us - before.at_us;
  return {
    seconds,
    delivered: after.deliveries / (after.due * readers),
    "MB/s": (after.due * messageBytes) / (seconds * 1e6),
    "cpu %": (100 * (after.server.ranUs - before.server.ranUs)) / wallUs,
    "p50 ms": after.p50_ms,
    "p99 ms": after.p99_ms,
    "peak rss MB": peakBytes / 1e6,
    // One whose kernel still holds bytes for a reader that never reads sees no close; the server's side is what counts.
    "sockets gone": socketsGone,
    "waited %": waitedPercent(wallUs, [before.server, after.server], [before.load, after.load]),
  };
}
