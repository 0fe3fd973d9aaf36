import { connect } from "@nats-io/transport-node";
import { type NatsServer, startNats, startNatsCluster } from "../../support/engines/nats.ts";
import type { FaultName, PlannedFault } from "../faults/schedule.ts";
import { Link } from "../link.ts";
import type { Engine } from "./engine.ts";
import { leftIn, logIn } from "./nats-log.ts";

const linkFaults: readonly FaultName[] = [
  ...(["engine-cut", "engine-delay", "engine-lost-up", "engine-lost-down", "engine-half-open"] as const),
];
const nothing = (): Promise<void> => Promise.resolve();

/** One NATS with JetStream, and a way to it for each node. A crash of it loses nothing; a deleted stream loses all. */
export async function nats(): Promise<Engine> {
  const server = await startNats();
  const breaks = breaksOf(server);
  const begin = async ({ fault }: PlannedFault): Promise<() => Promise<void>> => {
    if (fault === "engine-flush") {
      await deleteStream(server);
      return nothing;
    }
    return breaks(fault);
  };
  return {
    attach: async (node) => {
      const link = new Link(() => ({ host: `127.0.0.1:${server.port}`, port: server.port }));
      await link.open();
      node.engineLinks.push(link);
      return ["--backend", `nats://${link.address.host}`];
    },
    faults: [...linkFaults, "engine-flush", "engine-pause", "engine-kill"],
    losing: ["engine-flush"],
    begin,
    log: (room) => logIn([server.url], room),
    left: (rooms) => leftIn([server.url], rooms),
    end: () => server.stop(),
  };
}

/** Three servers with three copies of all: one of them at a time is killed or paused, and nothing may be lost. */
export async function natsCluster(): Promise<Engine> {
  const cluster = await startNatsCluster(3);
  const breaks = cluster.servers.map(breaksOf);
  const begin = async ({ fault, amount }: PlannedFault): Promise<() => Promise<void>> => {
    const victim = breaks[Math.floor(amount * breaks.length)] ?? breaks[0];
    if (victim === undefined) throw new Error("the cluster has no servers");
    return victim(fault);
  };
  return {
    attach: () => Promise.resolve(["--backend", `${cluster.urls.join(",").replaceAll(",nats://", ",")}?replicas=3`]),
    faults: ["engine-pause", "engine-kill"],
    losing: [],
    begin,
    log: (room) => logIn(cluster.urls, room),
    left: (rooms) => leftIn(cluster.urls, rooms),
    end: () => cluster.stop(),
  };
}

/** Two faults may want a server away at once: it comes back with the last, and one that is away is not paused. */
function breaksOf(server: NatsServer): (fault: FaultName) => Promise<() => Promise<void>> {
  let away = 0;
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => (turn = turn.then(work));
  return async (fault) => {
    switch (fault) {
      case "engine-pause":
        if (away === 0) server.pause();
        return () => Promise.resolve(server.resume());
      case "engine-kill":
        away++;
        await inTurn(() => server.kill());
        return () =>
          inTurn(async () => {
            if (--away === 0) await server.restart();
          });
      default:
        throw new Error(`NATS has no ${fault}`);
    }
  };
}

/** A server that is down just now is not flushed. */
async function deleteStream({ url }: NatsServer): Promise<void> {
  const connection = await connect({ servers: url, reconnect: false, timeout: 2_000 }).catch(() => undefined);
  if (connection === undefined) return;
  await connection.request("$JS.API.STREAM.DELETE.fanfare-log", "").catch(() => undefined);
  await connection.close().catch(() => undefined);
}
