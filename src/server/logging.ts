import type { Logger } from "./options.ts";

/** The app's logger, made safe to call anywhere: what it throws must not end a connection, a room or the process. */
export function safeLogger(logger: Logger | undefined): Logger {
  const call =
    (level: keyof Logger) =>
    (facts: object, message: string): void => {
      try {
        logger?.[level](facts, message);
      } catch {
        // There is nowhere left to tell it.
      }
    };
  return { debug: call("debug"), info: call("info"), warn: call("warn"), error: call("error") };
}
