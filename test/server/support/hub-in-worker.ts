// A hub in a worker of node:cluster; tells the primary what it warned of when it was open.
import { createHub } from "../../../src/server/index.ts";

const warnings: string[] = [];
const nothing = (): void => undefined;
const logger = {
  debug: nothing,
  info: nothing,
  error: nothing,
  warn: (_facts: object, message: string): void => void warnings.push(message),
};
const hub = createHub({ rooms: {}, logger });
await hub.start();
process.send?.(warnings);
