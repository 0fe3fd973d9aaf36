import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Logger as Pino, pino } from "pino";
import type { Operation } from "../http/answer.ts";
import { metricsOperation } from "../http/metrics.ts";
import { httpApi, listener } from "../http/node.ts";
import { makeHttpServer } from "../server/http-server.ts";
import { errorFacts } from "../server/logging.ts";
import { createHub, type Hub, type HubOptions } from "../server/index.ts";
import { chooseBackend, hubOptions, weakSecretWarning } from "./assemble.ts";
import { type Config, loadConfig } from "./config.ts";
import { devOperations, devWarning, randomSecret } from "./dev.ts";
import { Failure, type Io, oneLine, red } from "./io.ts";
import { readServeSettings, type ServeSettings } from "./settings.ts";
import { shutdownOn } from "./shutdown.ts";
import { metricsOfAll, workerId, workerProcess } from "./worker.ts";
import { checkWorkers, Workers } from "./workers.ts";

/** Runs until a signal; gives the exit code. Throws a UsageError or a Failure where it cannot start. */
export async function serve(args: readonly string[], io: Io): Promise<number> {
  const settings = readServeSettings(args, io.env);
  const config: Config = settings.config === undefined ? {} : await loadConfig(settings.config);
  const logger = makeLogger(settings);
  const backend = await chooseBackend(settings, config);
  if (settings.workers > 1) {
    checkWorkers(settings, backend);
    if (workerId() === undefined) return new Workers(args, settings, io, logger).run();
  }
  const devSecret = settings.dev ? (settings.secret ?? randomSecret()) : undefined;
  const options = hubOptions(settings, config, { backend, logger, devSecret });
  if (settings.dev) io.stderr.write(`${red(devWarning, io.stderr)}\n`);

  const weakness = weakSecretWarning(settings);
  if (weakness !== undefined) logger.warn(weakness);

  const hub = await startHub(options, config);
  const dev: readonly Operation[] = devSecret === undefined ? [] : await devOperations(devSecret);
  const isWorker = settings.workers > 1;
  const extra = [metricsOperation(isWorker ? metricsOfAll(hub) : hub), ...dev];
  const server = makeHttpServer();
  const answer = httpApi(hub, {
    ...(options.origins === undefined ? {} : { origins: options.origins }),
    apiKeys: settings.apiKeys,
    logger,
    extra,
  });
  server.on("request", listener(answer));
  hub.attach(server);
  await listen(server, settings, hub);

  const url = addressOf(server);
  // Of several, the first process tells it once.
  if (!isWorker) io.stdout.write(`Fanfare listens on ${url}\n`);
  io.listening?.(url);
  return shutdownOn(
    isWorker ? workerProcess() : process,
    settings.drainMs,
    (signal) => {
      logger.info({ signal, drainMs: settings.drainMs }, "closing");
      return close(hub, server, settings.drainMs);
    },
    (error) => logger.error({ error: errorFacts(error) }, "the shutdown failed"),
  );
}

/** JSON lines to stdout, each there when the call returns: a crash right after it loses none. */
function makeLogger(settings: ServeSettings): Pino {
  return pino({
    level: settings.logLevel,
    base: workerId() === undefined ? null : { worker: workerId() },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}

async function startHub(options: HubOptions, config: Config): Promise<Hub> {
  try {
    const hub = createHub(options);
    await config.setup?.(hub);
    await hub.start();
    return hub;
  } catch (error) {
    throw new Failure(`cannot start: ${oneLine(error)}`);
  }
}

async function listen(server: Server, settings: ServeSettings, hub: Hub): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(settings.port, settings.host, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    await hub.close({ drainMs: 0 });
    throw new Failure(reasonOf(error, settings));
  }
}

function reasonOf(error: unknown, { port, host }: ServeSettings): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE")
    return `port ${port} on ${host} is in use; choose another with --port, or 0 for any free one`;
  if (code === "EACCES") return `port ${port} on ${host} is not for this user; choose one of 1024 or more with --port`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return `${host} is no address of this machine; see --host`;
  return `cannot listen on port ${port} on ${host}: ${oneLine(error)}`;
}

/** With the real port where 0 was asked for. */
function addressOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

/** What the hub has answered may take so long to be written. */
const lastWriteMs = 200;

/**
 * The hub first: it says goodbye to its connections. Calls over HTTP are answered meanwhile, each as the last of its
 * connection, so that the next one goes to another process. Then whatever still holds open.
 */
async function close(hub: Hub, server: Server, drainMs: number): Promise<void> {
  server.prependListener("request", (_request, response) => (response.shouldKeepAlive = false));
  await hub.close({ drainMs });
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cut = setTimeout(() => server.closeAllConnections(), lastWriteMs);
  await closed;
  clearTimeout(cut);
}
