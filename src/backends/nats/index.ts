import type { Backend } from "../backend.ts";
import { CoreBackend } from "./core.ts";
import { JetStreamBackend } from "./jetstream.ts";
import { type NatsOptions, resolveOptions } from "./options.ts";

export type { NatsOptions } from "./options.ts";

/**
 * Keeps logs in NATS JetStream, for any number of processes and machines; with `log: false` it carries messages over core
 * NATS, at most once, and keeps nothing. Needs nats-server 2.9 or newer, and `@nats-io/transport-node` installed. Throws
 * on options that cannot work.
 */
export function nats(options: NatsOptions): Backend {
  const settings = resolveOptions(options);
  return settings.log ? new JetStreamBackend(settings) : new CoreBackend(settings);
}
