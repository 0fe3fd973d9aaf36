import { randomBytes } from "node:crypto";
import { memory } from "../backends/memory/index.ts";
import { openContract } from "../protocol/contract.ts";
import { AppHandlers } from "./app-handlers.ts";
import { makeIdentify, type Identify } from "./auth/identify.ts";
import { checkOrigins } from "./auth/origin.ts";
import { createRevocations } from "./auth/revocations.ts";
import { createTickets, type Tickets } from "./auth/tickets.ts";
import { Catalog } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import { Cluster } from "./cluster/cluster.ts";
import { Nodes } from "./cluster/nodes.ts";
import type { Connected } from "./connected.ts";
import { Connections } from "./connections.ts";
import { Groups } from "./endpoints/groups.ts";
import { Entrances } from "./entrances.ts";
import type { HandleContext } from "./handles.ts";
import { safeLogger } from "./logging.ts";
import { Counts } from "./metrics/counts.ts";
import { resolveKeep, resolveLimits, type HubOptions } from "./options.ts";
import { makeAddressOf, type AddressOf } from "./proxies.ts";
import { Publisher } from "./publisher.ts";
import { RateLimits } from "./rate-limits.ts";
import type { RequestContext } from "./requester.ts";
import { Rooms } from "./rooms.ts";
import { Turn } from "./turn.ts";

/** Enough that two processes which share a backend do not take each other's name. */
const nodeNameBytes = 12;

/** Where the hub is in its life: its parts ask, and do not change it. */
export interface HubLife {
  /** Opens the backend; rejects where it cannot be opened now. */
  readonly start: () => Promise<void>;
  readonly isOpen: () => boolean;
  readonly isClosing: () => boolean;
}

/** What a hub is made of, as far as it speaks to it. */
export interface Parts {
  readonly addressOf: AddressOf;
  readonly tickets: Tickets;
  readonly identify: Identify;
  readonly nodes: Nodes;
  readonly groups: Groups;
  readonly entrances: Entrances;
  /** What the hub and its handles work on. */
  readonly common: HandleContext;
}

/** Makes the parts of a hub and hands them each other, nothing of it started. Throws on options that cannot work, naming them. */
export function makeParts(options: HubOptions, clock: Clock, life: HubLife): Parts {
  checkOrigins(options.origins ?? []);
  const limits = resolveLimits(options.limits);
  const addressOf = makeAddressOf(options.trustedProxies);
  const logger = safeLogger(options.logger);
  const backend = options.backend ?? memory();
  const catalog = new Catalog(options.rooms ?? openContract, resolveKeep(options.keep, backend));
  const connections = new Connections();
  const counts = new Counts();
  const tickets = createTickets(backend, clock.now, randomBytes);
  const revocations = createRevocations(backend, clock.now);
  const { auth, tracing } = options;
  const identify = makeIdentify({ auth, tickets, revocations, now: clock.now, counts });
  const turn = new Turn(clock.monotonic);
  const node = randomBytes(nodeNameBytes).toString("base64url");
  const cluster = backend.promises.shared ? new Cluster({ backend, clock, logger, node }) : undefined;
  const { presenceMembers } = limits;
  const peer = (id: string): Connected | undefined => connections.get(id);
  const rooms = new Rooms({ backend, turn, clock, presenceMembers, counts, peer, cluster });
  const rates = new RateLimits(options.rates, clock.monotonic, counts);
  const nodes = new Nodes({
    cluster,
    connections,
    rooms,
    revocations,
    limits,
    rates: options.rates === undefined ? undefined : rates,
    clock,
    logger,
  });
  const requests: RequestContext = {
    catalog,
    rooms,
    publisher: new Publisher(backend, clock, limits, counts, tracing),
    backend,
    limits,
    clock,
    counts,
    rates,
    app: new AppHandlers({ clock, limits, counts, logger, tracing }),
    tracing,
  };
  const groups = new Groups({
    backend,
    turn,
    delivered: counts.messages,
    logger,
    clock,
    node,
    isOpen: life.isOpen,
    maxGroups: limits.rooms,
  });
  const entrances = new Entrances({
    options,
    limits,
    addressOf,
    clock,
    logger,
    connections,
    turn,
    requests,
    check: identify,
    overtaken: (identity) => revocations.overtook(identity),
    start: life.start,
    isOpen: life.isOpen,
    draining: life.isClosing,
  });
  const common = { ...requests, connections, operations: nodes.operations, turn, logger };
  return { addressOf, tickets, identify, nodes, groups, entrances, common };
}
