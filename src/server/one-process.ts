import cluster from "node:cluster";

/** What tells whether this process is one of several that share the load. */
export interface ProcessFacts {
  readonly isClusterWorker: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * What to warn of where several workers share the load: a backend of one process gives each worker rooms of its own, and
 * members silently miss each other's messages. Undefined: this process is alone, as far as can be seen. No more than a
 * warning, because a cluster of one worker is whole.
 */
export function warningOfWorkers(backend: string, facts: ProcessFacts = thisProcess()): string | undefined {
  const cause = severalWorkers(facts);
  if (cause === undefined) return undefined;
  return (
    `the ${backend} backend serves one process, and this one is ${cause}: members on different workers do not see each ` +
    "other. Run one process (PM2: exec_mode fork, instances 1), or choose a backend that is shared, such as fanfare/redis"
  );
}

function thisProcess(): ProcessFacts {
  return { isClusterWorker: cluster.isWorker, env: process.env };
}

function severalWorkers({ isClusterWorker, env }: ProcessFacts): string | undefined {
  if (isClusterWorker) return "a worker of node:cluster";
  if (env["pm_id"] !== undefined && env["exec_mode"]?.startsWith("cluster")) return "in PM2's cluster mode";
  // PM2 counts the instances of an app from 0, in fork mode too: a second one exists where the number is higher.
  if (Number(env["NODE_APP_INSTANCE"] ?? 0) > 0) return `instance ${env["NODE_APP_INSTANCE"]} of several under PM2`;
  return undefined;
}
