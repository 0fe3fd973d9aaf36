import { setTimeout as wait } from "node:timers/promises";
import type { Link } from "../link.ts";
import type { TortureNode } from "../node.ts";
import type { FaultName, PlannedFault } from "./schedule.ts";

/** What faults are done to. */
export interface Victims {
  readonly nodes: readonly TortureNode[];
  readonly random: () => number;
  /** Some devices, chosen at random, read nothing for so long. */
  slowReaders(share: number, ms: number): void;
  burst(share: number): void;
  revoke(): Promise<void>;
  engine(planned: PlannedFault): Promise<Undo>;
}

export type Undo = () => void | Promise<void>;

const nothing: Undo = () => undefined;
const mostClockJumpMs = 3_600_000;
/** Of a busy node: it runs for this long, then does not for up to that long, again and again. */
const busyMs = { goes: 15, stops: 120 } as const;

type Doing = (victims: Victims, planned: PlannedFault, node: TortureNode) => Undo | Promise<Undo>;

/** Begins each fault, and gives what undoes it; that is called once, after `forMs`. */
export const doings: Readonly<Record<FaultName, Doing>> = {
  kill: (_, __, node) => node.away("SIGKILL"),
  stop: (_, __, node) => node.away("SIGTERM"),
  pause: (_, __, node) => node.pause(),
  "pause-long": (_, __, node) => node.pause(),
  busy: (_, planned, node) => busy(node, planned.amount),
  "client-cut": ({ random }, { amount }, { link }) => cut([link], random, amount),
  "client-delay": (_, { amount }, { link }) => delay([link], amount),
  "client-lost-up": (_, __, { link }) => hold([link], "up"),
  "client-lost-down": (_, __, { link }) => hold([link], "down"),
  "client-half-open": ({ random }, { amount }, { link }) => forget([link], random, amount),
  "slow-readers": (victims, { amount, forMs }) => {
    victims.slowReaders(0.2 + amount / 2, forMs);
    return nothing;
  },
  burst: (victims, { amount }) => {
    victims.burst(amount);
    return nothing;
  },
  clock: ({ nodes }, { amount }) => {
    for (const node of nodes) node.setClock(Math.round((amount - 0.5) * 2 * mostClockJumpMs));
    return () => nodes.forEach((node) => node.setClock(0));
  },
  revoke: async (victims) => {
    await victims.revoke();
    return nothing;
  },
  "engine-kill": (victims, planned) => victims.engine(planned),
  "engine-flush": (victims, planned) => victims.engine(planned),
  "engine-failover": (victims, planned) => victims.engine(planned),
  "engine-pause": (victims, planned) => victims.engine(planned),
  "engine-cut": ({ random }, { amount }, { engineLinks }) => cut(engineLinks, random, amount),
  "engine-delay": (_, { amount }, { engineLinks }) => delay(engineLinks, amount),
  "engine-lost-up": (_, __, { engineLinks }) => hold(engineLinks, "up"),
  "engine-lost-down": (_, __, { engineLinks }) => hold(engineLinks, "down"),
  "engine-half-open": ({ random }, { amount }, { engineLinks }) => forget(engineLinks, random, amount),
};

/** A third of the times all of them, else a part. */
function chosen(random: () => number, amount: number): () => boolean {
  return () => amount > 0.66 || random() < 0.2 + amount;
}

function cut(links: readonly Link[], random: () => number, amount: number): Undo {
  for (const link of links) link.cut(chosen(random, amount));
  return nothing;
}

function forget(links: readonly Link[], random: () => number, amount: number): Undo {
  for (const link of links) link.forget(chosen(random, amount));
  return () => links.forEach((link) => link.reset());
}

function delay(links: readonly Link[], amount: number): Undo {
  for (const link of links) link.delayMs = Math.round(10 + amount * 250);
  return () => links.forEach((link) => (link.delayMs = 0));
}

function hold(links: readonly Link[], direction: "up" | "down"): Undo {
  for (const link of links) link.hold(direction);
  return () => links.forEach((link) => link.letGo());
}

/** As if its event loop were blocked by work, again and again. */
function busy(node: TortureNode, amount: number): Undo {
  let isOver = false;
  const loop = (async () => {
    while (!isOver) {
      const goOn = node.pause();
      await wait(10 + amount * busyMs.stops);
      goOn();
      await wait(busyMs.goes);
    }
  })();
  return () => {
    isOver = true;
    return loop;
  };
}
