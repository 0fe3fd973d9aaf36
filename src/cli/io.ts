import { styleText } from "node:util";

/** What a command touches of the process it runs in. */
export interface Io {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Called with the address once `serve` takes connections. */
  readonly listening?: (url: string) => void;
}

/** What went wrong around us: a port in use, a log that cannot be opened. One line; the command exits with 1. */
export class Failure extends Error {}

/** In red where that can be seen: a terminal, and no NO_COLOR. */
export function red(text: string, stream: NodeJS.WritableStream): string {
  return styleText("red", text, { stream });
}

/** An error's own words as one line without control characters, so that nothing from a file can move the cursor. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0]?.replaceAll(/\p{Cc}/gu, " ") ?? "";
}
