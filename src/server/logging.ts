import type { Logger } from "./options.ts";

/** The app's logger, made safe to call anywhere: what it throws must not end a connection, a room or the process. */
export function safeLogger(logger: Logger | undefined): Logger {
  const call =
    (level: keyof Logger) =>
    (facts: object, message: string): void => {
      try {
        logger?.[level](cleanFacts(facts), plainText(message));
      } catch {
        // There is nowhere left to tell it.
      }
    };
  return { debug: call("debug"), info: call("info"), warn: call("warn"), error: call("error") };
}

/** An error as it may stand in a log. */
export interface ErrorFacts {
  readonly type: string;
  readonly code?: string;
  /** Where it was thrown, the innermost call first. */
  readonly at?: readonly string[];
  readonly cause?: ErrorFacts;
}

const maxFrames = 8;
const maxCauses = 3;
const callShape = /^ {4}at .+/;
const codeShape = /^\w{1,64}$/;

/**
 * What a log tells of an error: its class, code and place, and never its own words. Handlers and parsers build those from
 * what users sent, or from a token that could not be read.
 */
export function errorFacts(error: unknown, causes: number = maxCauses): ErrorFacts {
  if (!(error instanceof Error)) return { type: error === null ? "null" : typeof error };
  const code = "code" in error && typeof error.code === "string" && codeShape.test(error.code) ? error.code : undefined;
  const at = placesOf(error);
  return {
    type: plainText(error.constructor.name),
    ...(code !== undefined && { code }),
    ...(at.length > 0 && { at }),
    ...(error.cause !== undefined && causes > 0 && { cause: errorFacts(error.cause, causes - 1) }),
  };
}

/** The calls of a stack; its message, which may have lines that look like calls, is cut off first. */
function placesOf({ stack = "", message }: Error): string[] {
  const end = message === "" ? 0 : stack.indexOf(message) + message.length;
  // Without the message where it should be, nothing tells it from the calls.
  if (message !== "" && !stack.includes(message)) return [];
  const calls = stack
    .slice(end)
    .split("\n")
    .slice(1)
    .filter((line) => callShape.test(line));
  return calls.slice(0, maxFrames).map((line) => plainText(line.trim()));
}

/** Control characters, and what turns the direction of text, as `\u{…}`: a line of a log is one line, and shows all. */
export function plainText(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu,
    (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`,
  );
}

function cleanFacts(facts: object): object {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]: [string, unknown]) => [name, clean(name, value)]),
  );
}

function clean(name: string, value: unknown): unknown {
  // What was thrown need not be an Error: text, or an object that holds some.
  if (name === "err" || value instanceof Error) return errorFacts(value);
  return typeof value === "string" ? plainText(value) : value;
}
