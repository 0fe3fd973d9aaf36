import cluster from "node:cluster";
import type { Hub } from "../server/index.ts";
import type { PrimaryMessage, WorkerMessage } from "./workers.ts";

/** How long a worker waits for the metrics of all; then it gives its own. */
const metricsMs = 2_000;

/** Metrics that a request asked for are collected from all workers, whichever it came to. */
export function metricsOfAll(hub: Pick<Hub, "metrics">): Pick<Hub, "metrics"> {
  const waiting = new Map<number, (text: string) => void>();
  let lastId = 0;
  process.on("message", (message: PrimaryMessage) => {
    if (message.type === "metrics") waiting.get(message.id)?.(message.text);
    else if (message.type === "metrics-of") {
      void hub.metrics().then((text) => tell({ type: "metrics-of", id: message.id, text }));
    }
  });
  return {
    metrics: () =>
      new Promise((resolve) => {
        const id = ++lastId;
        const end = (text: string | Promise<string>): void => {
          clearTimeout(late);
          waiting.delete(id);
          resolve(text);
        };
        const late = setTimeout(() => end(hub.metrics()), metricsMs);
        waiting.set(id, end);
        tell({ type: "metrics", id });
      }),
  };
}

/**
 * The signals as a worker takes them. A terminal and systemd send them to all processes, and the first process passes them
 * on: once is enough here, and a Ctrl-C is for the first process alone.
 */
export function workerProcess(): Pick<NodeJS.Process, "on" | "exit"> {
  process.on("SIGINT", ignore);
  return { on: onceTerminated as NodeJS.Process["on"], exit: process.exit.bind(process) };
}

function onceTerminated(name: string, run: (signal: "SIGTERM") => void): NodeJS.Process {
  if (name !== "SIGTERM") return process;
  let isClosing = false;
  const close = (): void => {
    if (isClosing) return;
    isClosing = true;
    run("SIGTERM");
  };
  process.on("message", (message: PrimaryMessage) => {
    if (message.type === "close") close();
  });
  return process.on("SIGTERM", close);
}

export function workerId(): number | undefined {
  return cluster.worker?.id;
}

function tell(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}

function ignore(): void {}
