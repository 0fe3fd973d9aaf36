import { createRequire } from "node:module";
import { collectDefaultMetrics, Counter, Gauge, Registry, type CollectFunction } from "prom-client";
import { closeCodes } from "../../protocol/codes.ts";
import { Connection } from "../connection.ts";
import type { Nodes } from "../cluster/nodes.ts";
import type { Connections } from "../connections.ts";
import type { Rooms } from "../rooms.ts";
import type { Counts } from "./counts.ts";
import { timingsText } from "./timings-text.ts";

/** What the numbers are read from, at the moment of reading. */
export interface MetricsSource {
  readonly counts: Counts;
  readonly connections: Connections;
  readonly rooms: Rooms;
  readonly nodes: Pick<Nodes, "living" | "syncs">;
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/**
 * Gives what makes a hub's metrics as Prometheus text. It has a registry of its own, so that an app's own metrics and
 * another hub's stay apart. Everything is read when it is asked for; only the event loop's delay is watched in between.
 */
export function metricsReader(source: MetricsSource): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "fanfare_" });
  addState(registry, source);
  addDone(registry, source.counts);
  addNodes(registry, source);
  addBuild(registry);
  return async () => `${await registry.metrics()}\n${timingsText(appendName, appendHelp, source.counts.appends)}`;
}

const appendName = "fanfare_log_append_seconds";
const appendHelp = "Time from handing a message to the log to its acknowledgement.";

function addState(registry: Registry, { connections, rooms }: MetricsSource): void {
  gauge(registry, "fanfare_connections", "Open connections, by kind.", ["kind"], () => {
    const sockets = [...connections.all()].filter((one) => one instanceof Connection).length;
    return [
      [{ kind: "websocket" }, sockets],
      [{ kind: "sse" }, connections.size - sockets],
    ];
  });
  gauge(registry, "fanfare_outbox_bytes", "Bytes that wait for readers, over all connections.", [], () => [
    [{}, sum(connections.all(), ({ outbox }) => outbox.waitingBytes)],
  ]);
  gauge(registry, "fanfare_rooms", "Rooms that are open on this node.", [], () => [[{}, rooms.size]]);
  gauge(registry, "fanfare_members", "Members of all rooms on this node; a user in two rooms counts twice.", [], () => [
    [{}, sum(rooms.all(), ({ presence }) => presence.here)],
  ]);
}

function addDone(registry: Registry, counts: Counts): void {
  const plain = (name: string, help: string, value: () => number): void =>
    counter(registry, name, help, [], () => [[{}, value()]]);
  const by = (name: string, help: string, label: string, values: () => Iterable<readonly [unknown, number]>): void =>
    counter(registry, name, help, [label], () =>
      Array.from(values(), ([key, value]): Sample => [{ [label]: String(key) }, value]),
    );
  const kinds = { message: counts.messages, signal: counts.signalFrames, presence: counts.presence };
  plain("fanfare_joins_total", "Connections that entered a room.", () => counts.joins);
  by("fanfare_resumes_total", "Joins that asked to resume, by outcome.", "outcome", () => [
    ["recovered", counts.recovered],
    ["not_recovered", counts.notRecovered],
  ]);
  plain("fanfare_replayed_messages_total", "Messages sent from the log to members behind.", () => counts.replayed);
  by(
    "fanfare_publishes_total",
    "Publishes, by outcome or the code of their refusal.",
    "outcome",
    () => counts.publishes,
  );
  by("fanfare_deliveries_total", "Frames handed to members' outboxes, by kind.", "kind", () =>
    Object.entries(kinds).map(([kind, { frames }]) => [kind, frames] as const),
  );
  by("fanfare_delivered_bytes_total", "Bytes of those frames.", "kind", () =>
    Object.entries(kinds).map(([kind, { bytes }]) => [kind, bytes] as const),
  );
  plain("fanfare_signals_total", "Signals that were passed on to a room.", () => counts.signals);
  plain("fanfare_signal_drops_total", "Signals left out for a congested reader.", () => counts.signalFrames.dropped);
  by("fanfare_slow_readers_total", "Members that read too slowly, by what their room does then.", "policy", () => [
    ["disconnect", counts.closes.get(String(closeCodes.slowReader)) ?? 0],
    ...Object.entries(counts.slow.readers),
  ]);
  by("fanfare_message_drops_total", "Messages left out for a slow reader, by why.", "reason", () => [
    ["dropped", counts.slow.dropped],
    ["replaced", counts.slow.replaced],
  ]);
  by("fanfare_closes_total", "Connections that ended, by close code.", "code", () => counts.closes);
  plain("fanfare_handler_errors_total", "Handlers of the app that threw.", () => counts.handlerErrors);
  plain("fanfare_handler_timeouts_total", "Handlers of the app that took too long.", () => counts.handlerTimeouts);
  by("fanfare_authentications_total", "Checks of credentials, by outcome.", "outcome", () => counts.authentications);
  by(
    "fanfare_rate_limited_total",
    "Requests refused for their rate, by what refused.",
    "limit",
    () => counts.rateLimits,
  );
  by("fanfare_refused_upgrades_total", "Upgrades refused in HTTP, by status.", "status", () => counts.refusedUpgrades);
}

function addNodes(registry: Registry, { nodes, counts }: MetricsSource): void {
  gauge(registry, "fanfare_nodes", "Nodes that share the backend and live, with this one.", [], () => [
    [{}, nodes.living],
  ]);
  counter(registry, "fanfare_node_syncs_total", "States of other nodes that were read whole.", [], () => [
    [{}, nodes.syncs],
  ]);
  const help = "What came over the engine and no node can have sent; dropped.";
  counter(registry, "fanfare_malformed_messages_total", help, [], () => [[{}, counts.malformed]]);
}

function addBuild(registry: Registry): void {
  const { version } = createRequire(import.meta.url)("../../../package.json") as { version: string };
  const labels = { version, node: process.versions.node };
  gauge(registry, "fanfare_build_info", "The version that runs; always 1.", Object.keys(labels), () => [[labels, 1]]);
}

function gauge(
  registry: Registry,
  name: string,
  help: string,
  labelNames: string[],
  read: () => readonly Sample[],
): void {
  const collect: CollectFunction<Gauge> = function () {
    this.reset();
    for (const [labels, value] of read()) this.set(labels, value);
  };
  registry.registerMetric(new Gauge({ name, help, labelNames, collect, registers: [] }));
}

/** The hub counts; the counter of the registry is set anew at each reading. */
function counter(
  registry: Registry,
  name: string,
  help: string,
  labelNames: string[],
  read: () => readonly Sample[],
): void {
  const collect: CollectFunction<Counter> = function () {
    this.reset();
    for (const [labels, value] of read()) this.inc(labels, value);
  };
  registry.registerMetric(new Counter({ name, help, labelNames, collect, registers: [] }));
}

function sum<T>(items: Iterable<T>, value: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}
