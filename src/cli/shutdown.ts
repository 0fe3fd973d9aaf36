/** How much longer than the drain a shutdown may take before it is given up. */
const graceMs = 5_000;

type Signal = "SIGTERM" | "SIGINT";
const signals: Readonly<Record<Signal, number>> = { SIGINT: 2, SIGTERM: 15 };

/**
 * Waits for SIGTERM or SIGINT, then closes: 0 when that went well, 1 when it failed or took longer than the drain allows.
 * A second signal ends the process at once, as the shell would say it: 128 and the signal's number.
 */
export function shutdownOn(
  process: Pick<NodeJS.Process, "on" | "exit">,
  drainMs: number,
  close: (signal: Signal) => Promise<void>,
  failed: (error: unknown) => void,
): Promise<number> {
  return new Promise((resolve) => {
    let closing = false;
    const onSignal = (signal: Signal): void => {
      if (closing) process.exit(128 + signals[signal]);
      closing = true;
      const giveUp = setTimeout(() => {
        failed(new Error(`not closed ${graceMs} ms after the drain`));
        resolve(1);
      }, drainMs + graceMs);
      close(signal)
        .then(
          () => resolve(0),
          (error: unknown) => {
            failed(error);
            resolve(1);
          },
        )
        .finally(() => clearTimeout(giveUp));
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
