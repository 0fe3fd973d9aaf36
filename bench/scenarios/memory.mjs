// 10,000 idle connections of distinct users in 100 rooms. What does one keep resident?
import { fanfare, socketIo, wsRooms } from "../lib/peers.mjs";
import { medians, verdict } from "../lib/figures.mjs";
import { makeUsers, startLoad } from "../lib/load.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep } from "../lib/tools.mjs";

const rooms = 100;

export async function memory({ quick, pairs, only }) {
  const connections = quick ? 2_000 : 10_000;
  const peers = [fanfare(), wsRooms, socketIo].filter(({ name }) => only?.includes(name) ?? true);
  const runs = new Map(peers.map((peer) => [peer, []]));
  for (let round = 0; round < pairs; round++) {
    for (const peer of peers) runs.get(peer).push(await measure(peer, connections));
  }
  const rows = [...runs].map(([peer, figures]) => ({ server: peer.name, ...medians(figures) }));
  const ours = rows.find(({ server }) => server === "fanfare");
  const note = quick ? " (quick: 2,000 connections, which share less of what the process needs anyway)" : "";
  const verdicts = ours
    ? [verdict(`memory of an idle connection${note}`, ours["kB/connection"], 9, { unit: " kB" })]
    : [];
  return { rows, verdicts };
}

async function measure(peer, connections) {
  const server = await startServer(peer);
  await sleep(2_000);
  const before = server.memory().rssBytes;
  const load = await startLoad(peer, server.port, {
    users: makeUsers(connections),
    roomOf: (n) => `room-${n % rooms}`,
    // One address has 28,000 ports at most, and Fanfare bounds connections by address.
    sources: 4,
  });
  await sleep(10_000);
  const after = server.memory().rssBytes;
  const { closed } = await load.report();
  await load.quit();
  await server.stop();
  if (closed > 0) throw new Error(`${peer.name} closed ${closed} idle connections`);
  return {
    "rss before MB": before / 1e6,
    "rss after MB": after / 1e6,
    // Thousands, not 1,024s: the stricter reading of a target in kB.
    "kB/connection": (after - before) / 1e3 / connections,
  };
}
