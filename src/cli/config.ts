import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Hub, HubOptions } from "../server/index.ts";
import { oneLine } from "./io.ts";
import { UsageError } from "./flags.ts";

/** What the default export of a `--config` module holds: hub options, and what to do with the hub before it listens. */
export interface Config extends Partial<HubOptions> {
  /** Handlers, timers, whatever needs the hub. Awaited. */
  readonly setup?: (hub: Hub) => void | Promise<void>;
}

const known: Readonly<Record<keyof Config, true>> = {
  rooms: true,
  backend: true,
  auth: true,
  anonymous: true,
  anonymousRooms: true,
  cookie: true,
  origins: true,
  keep: true,
  limits: true,
  rates: true,
  path: true,
  ssePath: true,
  trustedProxies: true,
  deflate: true,
  logger: true,
  tracing: true,
  setup: true,
};

/** Loads a module. Throws a UsageError of one line where it cannot be read, fails, or exports something else. */
export async function loadConfig(file: string): Promise<Config> {
  const path = resolve(file);
  const name = JSON.stringify(file);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) throw new UsageError(`--config ${name}: there is no such file`);
  const config = await importDefault(path, name);
  if (typeof config !== "object" || config === null) {
    throw new UsageError(`--config ${name}: the default export must be an object of hub options`);
  }
  const unknown = Object.keys(config).find((key) => !Object.hasOwn(known, key));
  if (unknown !== undefined) {
    const options = Object.keys(known).join(", ");
    throw new UsageError(`--config ${name}: unknown option ${JSON.stringify(unknown)}; known: ${options}`);
  }
  return config;
}

async function importDefault(path: string, name: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
    return module.default;
  } catch (error) {
    throw new UsageError(
      `--config ${name} cannot be loaded: ${error instanceof SyntaxError ? "syntax error: " : ""}${oneLine(error)}`,
    );
  }
}
