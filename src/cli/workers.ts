import cluster, { type Address, type Worker } from "node:cluster";
import { fileURLToPath } from "node:url";
import type { Backend, Logger } from "../server/index.ts";
import type { ServeSettings } from "./settings.ts";
import { Failure, type Io } from "./io.ts";
import { UsageError } from "./flags.ts";
import { mergeMetrics } from "./worker-metrics.ts";
import { shutdownOn } from "./shutdown.ts";

/** A worker that dies soon is started again later each time, from the first to the last of these. */
const firstRestartMs = 200;
const lastRestartMs = 10_000;
/** One that has run for so long dies for a reason of its own. */
const steadyMs = 30_000;
/** How long all workers have to give their metrics. */
const metricsMs = 1_000;
/** How much longer than its drain a worker may take; then it is killed. */
const killAfterMs = 1_000;

/** What a worker says to the process that has started it, and hears. */
export type WorkerMessage =
  | { readonly type: "metrics"; readonly id: number }
  | { readonly type: "metrics-of"; readonly id: number; readonly text: string };
export type PrimaryMessage =
  | { readonly type: "close" }
  | { readonly type: "metrics-of"; readonly id: number }
  | { readonly type: "metrics"; readonly id: number; readonly text: string };

/** Throws a UsageError where members on different workers would not see each other. Opens nothing. */
export function checkWorkers({ workers, dev }: ServeSettings, { name, promises }: Backend): void {
  if (dev) throw new UsageError("--workers is not for --dev, which is one process on a machine of your own");
  if (promises.shared) return;
  throw new UsageError(
    `--workers ${workers} wants a backend that processes share, as --backend redis://…: the ${name} backend serves one ` +
      "process, and members on different workers would not see each other",
  );
}

/** Starts the workers, keeps them running, and ends when they have ended: 0 where all went well. */
export class Workers {
  readonly #args: readonly string[];
  readonly #settings: ServeSettings;
  readonly #io: Io;
  readonly #logger: Logger;
  readonly #asked: Map<number, { readonly texts: Map<number, string>; readonly done: () => void }> = new Map();
  #lastAsked = 0;
  #quickDeaths = 0;
  #isClosing = false;
  #isServing = false;
  readonly #restarts: Set<NodeJS.Timeout> = new Set();
  readonly #listens: Set<number> = new Set();

  constructor(args: readonly string[], settings: ServeSettings, io: Io, logger: Logger) {
    this.#args = args;
    this.#settings = settings;
    this.#io = io;
    this.#logger = logger;
  }

  /** Runs until a signal. Throws a Failure where a worker cannot start. */
  async run(): Promise<number> {
    const exec = fileURLToPath(new URL("../../bin/fanfare.js", import.meta.url));
    cluster.setupPrimary({ exec, args: ["serve", ...this.#args] });
    const first = this.#listening();
    for (let n = 0; n < this.#settings.workers; n++) this.#start();
    const url = urlOf(this.#settings, await first);
    this.#isServing = true;
    this.#io.stdout.write(`Fanfare listens on ${url}\n`);
    this.#io.listening?.(url);
    let failed = false;
    const code = await shutdownOn(
      process,
      this.#settings.drainMs + killAfterMs,
      async () => {
        failed = !(await this.#close());
      },
      (error) => this.#logger.error({ err: error }, "the shutdown failed"),
    );
    return failed ? 1 : code;
  }

  /** All of them listen for the first time; rejects where one ends before. */
  #listening(): Promise<Address> {
    return new Promise((resolve, reject) => {
      let waited = this.#settings.workers;
      cluster.on("listening", (worker, address) => {
        this.#listens.add(worker.id);
        if (--waited === 0) resolve(address);
      });
      cluster.on("exit", (worker, code, signal) => {
        if (this.#isServing || this.#isClosing) return;
        this.#isClosing = true;
        for (const other of living()) other.process.kill("SIGKILL");
        // It has told why, on stderr.
        reject(new Failure(`worker ${worker.id} did not start: it ended with ${signal ?? code}`));
      });
    });
  }

  #start(): void {
    const startedAt = performance.now();
    const worker = cluster.fork({ ...this.#io.env });
    worker.on("message", (message: WorkerMessage) => this.#heard(worker, message));
    worker.on("exit", (code, signal) => {
      this.#listens.delete(worker.id);
      if (this.#isClosing || !this.#isServing) return;
      this.#quickDeaths = performance.now() - startedAt < steadyMs ? this.#quickDeaths + 1 : 1;
      const afterMs = Math.min(lastRestartMs, firstRestartMs * 2 ** (this.#quickDeaths - 1));
      this.#logger.error({ worker: worker.id, code, signal, afterMs }, "a worker died; another one is started");
      const restart = setTimeout(() => {
        this.#restarts.delete(restart);
        this.#start();
      }, afterMs);
      this.#restarts.add(restart);
    });
  }

  /** Whether all ended well. */
  async #close(): Promise<boolean> {
    this.#isClosing = true;
    for (const restart of this.#restarts) clearTimeout(restart);
    // One that is still starting has nobody to say goodbye to, and would not hear it.
    for (const worker of living()) if (!this.#listens.has(worker.id)) worker.process.kill("SIGKILL");
    const serving = living().filter((worker) => this.#listens.has(worker.id));
    const codes = await Promise.all(
      serving.map(async (worker) => {
        const ended = new Promise<number | null>((resolve) => worker.on("exit", (code) => resolve(code)));
        const kill = setTimeout(() => worker.process.kill("SIGKILL"), this.#settings.drainMs + 2 * killAfterMs);
        worker.send({ type: "close" } satisfies PrimaryMessage);
        const code = await ended;
        clearTimeout(kill);
        return code;
      }),
    );
    return codes.every((code) => code === 0);
  }

  #heard(worker: Worker, message: WorkerMessage): void {
    if (message.type === "metrics-of") {
      const asked = this.#asked.get(message.id);
      asked?.texts.set(worker.id, message.text);
      asked?.done();
      return;
    }
    const id = ++this.#lastAsked;
    const workers = living();
    const texts = new Map<number, string>();
    const answer = (): void => {
      clearTimeout(late);
      if (!this.#asked.delete(id) || !worker.isConnected()) return;
      worker.send({ type: "metrics", id: message.id, text: mergeMetrics(texts) } satisfies PrimaryMessage);
    };
    const done = (): void => {
      if (texts.size === workers.length) answer();
    };
    const late = setTimeout(answer, metricsMs);
    this.#asked.set(id, { texts, done });
    for (const one of workers) one.send({ type: "metrics-of", id } satisfies PrimaryMessage);
  }
}

function living(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker?.isConnected() === true) as Worker[];
}

/** Each worker has the same port, also where 0 was asked for. */
function urlOf({ host }: ServeSettings, { address, port, addressType }: Address): string {
  const shown = address ?? host;
  return `http://${addressType === 6 ? `[${shown}]` : shown}:${port}`;
}
