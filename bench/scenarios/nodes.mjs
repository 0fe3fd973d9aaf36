// A message that is published on one node and delivered to 1,000 members on another, over Redis. What does a delivery cost
// the node that receives, against one node alone that has publisher and members?
import { median, medians, noteOnWaiting, verdict } from "../lib/figures.mjs";
import { makeData, makeUsers, startLoad } from "../lib/load.mjs";
import { fanfare } from "../lib/peers.mjs";
import { waitedPercent } from "../lib/process.mjs";
import { startRedis } from "../lib/redis.mjs";
import { startServer } from "../lib/server.mjs";
import { loadCpu, sleep } from "../lib/tools.mjs";
import { cost, measure, members, messageBytes } from "./fanout.mjs";

export async function nodes({ ratePerS, quick, pairs }) {
  const alone = [];
  const receiving = [];
  for (let round = 0; round < pairs; round++) {
    const one = async () => alone.push(await withRedis((peer) => measure(peer, ratePerS, quick)));
    const two = async () => receiving.push(await withRedis((peer) => measureReceiving(peer, ratePerS, quick)));
    for (const run of round % 2 === 0 ? [one, two] : [two, one]) await run();
  }
  const rows = [
    { server: "one node alone", ...medians(alone) },
    { server: "the receiving of two", ...medians(receiving) },
  ];
  const ratio = median(receiving.map((run, n) => cost(run) / cost(alone[n])));
  const delivered = Math.min(...receiving.map((run) => run.delivered));
  return {
    rows,
    note: noteOnWaiting(rows),
    verdicts: [
      verdict(`CPU per delivery of the receiving node at ${ratePerS}/s, against one node alone`, ratio, 1.15),
      verdict(`delivered across nodes at ${ratePerS}/s`, delivered, 1, { atLeast: true }),
    ],
    runs: [
      { server: "one node alone", all: alone },
      { server: "the receiving of two", all: receiving },
    ],
  };
}

const roomOf = () => "bench";

/** Each run has a Redis of its own: what another left there would know the keys of its publishes. */
async function withRedis(run) {
  const redis = await startRedis();
  try {
    return await run(fanfare(redis.url));
  } finally {
    await redis.stop();
  }
}

/** The publisher's node shares the load's processor, so that the one that is measured has its own. */
async function measureReceiving(peer, ratePerS, quick) {
  const [near, far] = [await startServer(peer, loadCpu), await startServer(peer)];
  const [first, ...others] = makeUsers(members + 1);
  const publisher = await startLoad(peer, near.port, { users: [first], roomOf, data: makeData(messageBytes) });
  const load = await startLoad(peer, far.port, { users: others, roomOf });
  publisher.start(ratePerS);
  await sleep(quick ? 1_500 : 3_000);
  load.clear();
  const before = { ...(await load.report()), server: far.cpu(), load: load.cpu() };
  await sleep(quick ? 3_000 : 10_000);
  const after = { ...(await load.report()), server: far.cpu(), load: load.cpu() };
  publisher.stop();
  await sleep(2_000);
  const [{ deliveries }, { due }] = [await load.report(), await publisher.report()];
  for (const each of [publisher, load]) await each.quit();
  for (const each of [near, far]) await each.stop();
  if (after.disorders > 0) throw new Error(`${after.disorders} messages came out of order`);
  const wallUs = after.at_us - before.at_us;
  const delivered = after.deliveries - before.deliveries;
  const cpuUs = after.server.ranUs - before.server.ranUs;
  return {
    "cpu µs/delivery": cpuUs / delivered,
    "cpu %": (100 * cpuUs) / wallUs,
    "deliveries/s": (delivered / wallUs) * 1e6,
    delivered: deliveries / (due * members),
    "p50 ms": after.p50_ms,
    "p99 ms": after.p99_ms,
    "waited %": waitedPercent(wallUs, [before.server, after.server], [before.load, after.load]),
  };
}
