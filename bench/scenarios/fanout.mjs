// One room of 1,000 members, one of whom publishes at a steady rate. What does a delivery cost the server?
import { fanfare, floor, socketIo, wsRooms } from "../lib/peers.mjs";
import { median, medians, noteOnWaiting, verdict } from "../lib/figures.mjs";
import { makeData, makeUsers, startLoad } from "../lib/load.mjs";
import { waitedPercent } from "../lib/process.mjs";
import { startServer } from "../lib/server.mjs";
import { compile, sleep } from "../lib/tools.mjs";

export const members = 1_000;
export const messageBytes = 130;
/** What is on its way when publishing stops may take so long to arrive. */
const drainMs = 5_000;

export async function fanout({ ratePerS, quick, pairs, only }) {
  const runs = new Map(peers(only).map((peer) => [peer, []]));
  for (let round = 0; round < pairs; round++) {
    // Each round the other way round, so that a machine that slows down or speeds up favours nobody.
    const order = round % 2 === 0 ? [...runs.keys()] : [...runs.keys()].toReversed();
    for (const peer of order) runs.get(peer).push(await measure(peer, ratePerS, quick));
  }
  const rows = [...runs].map(([peer, figures]) => ({ server: peer.name, ...medians(figures) }));
  return {
    rows,
    note: noteOnWaiting(rows),
    verdicts: judge(ratePerS, runs),
    runs: [...runs].map(([peer, all]) => ({ server: peer.name, all })),
  };
}

function peers(only) {
  const binary = compile("peers/floor.c", "the floor is left out.");
  const all = [fanfare(), wsRooms, fanfare("memory"), socketIo, ...(binary === undefined ? [] : [floor(binary)])];
  return only === undefined ? all : all.filter(({ name }) => only.includes(name));
}

export async function measure(peer, ratePerS, quick) {
  const server = await startServer(peer);
  const load = await startLoad(peer, server.port, {
    users: makeUsers(members),
    roomOf: () => "bench",
    data: makeData(messageBytes),
  });
  load.start(ratePerS);
  await sleep(quick ? 1_500 : 3_000);
  load.clear();
  const before = { ...(await load.report()), server: server.cpu(), load: load.cpu() };
  await sleep(quick ? 3_000 : 10_000);
  const after = { ...(await load.report()), server: server.cpu(), load: load.cpu() };
  const { rssBytes } = server.memory();
  load.stop();
  const last = await drained(load);
  await load.quit();
  await server.stop();
  if (after.disorders > 0) throw new Error(`${peer.name} delivered ${after.disorders} messages out of order`);
  return figures(before, after, last, rssBytes);
}

function figures(before, after, last, rssBytes) {
  const deliveries = after.deliveries - before.deliveries;
  const wallUs = after.at_us - before.at_us;
  const cpuUs = after.server.ranUs - before.server.ranUs;
  return {
    "cpu µs/delivery": cpuUs / deliveries,
    "cpu %": (100 * cpuUs) / wallUs,
    "deliveries/s": (deliveries / wallUs) * 1e6,
    delivered: last.deliveries / (last.due * members),
    "bytes/delivery": (after.bytes - before.bytes) / deliveries,
    "reads/delivery": (after.reads - before.reads) / deliveries,
    "p50 ms": after.p50_ms,
    "p99 ms": after.p99_ms,
    "rss MB": rssBytes / 1e6,
    "waited %": waitedPercent(wallUs, [before.server, after.server], [before.load, after.load]),
  };
}

/** Waits until all that was published has arrived; gives up after a while on a server that lags behind. */
async function drained(load) {
  const end = Date.now() + drainMs;
  for (;;) {
    const report = await load.report();
    if (report.deliveries >= report.due * members || Date.now() > end) return report;
    await sleep(100);
  }
}

function judge(ratePerS, runs) {
  const named = Object.fromEntries([...runs].map(([peer, figures]) => [peer.name, figures]));
  if (named.fanfare === undefined || named.ws === undefined) return [];
  const ratio = median(named.fanfare.map((run, n) => cost(run) / cost(named.ws[n])));
  const delivered = Math.min(...named.fanfare.map((run) => run.delivered));
  const all = verdict(`delivered at ${ratePerS}/s`, delivered, 1, { atLeast: true });
  const claim = `CPU per delivery at ${ratePerS}/s, against ws`;
  if (ratePerS >= 1_000) return [verdict(claim, ratio, 0.15), all];
  return [verdict(claim, ratio, 0.9), verdict(`${claim}, the aim`, ratio, 0.8), all];
}

export function cost(run) {
  return run["cpu µs/delivery"];
}
