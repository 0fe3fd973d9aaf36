import { BackendUnavailable } from "../backend.ts";

/** Redis before 7 puts the error of a command that a script called behind words of its own. */
const inScript = "ERR Error running script .*?: -";
/** A reply that says that this connection leads to the wrong place: it is given up, and the next one is asked anew. */
const misdirected = replies("TERM|READONLY|NOSCRIPT|LOADING|MASTERDOWN|UNBLOCKED");
const full = replies("OOM");
const unsaved = replies("MISCONF");
const alone = replies("NOREPLICAS");
/** To a script that calls what its user may not, each version puts it in other words. */
const forbidden =
  /^NOPERM\b|^ERR (?:Error running script [^']*: -?)?(?:NOPERM|ACL failure in script|The user executing the script can't)\b/;
/** Where in a script it was, which tells operators nothing. */
const whereInScript = / ?script: (?:[0-9a-f]{40}, )?on @user_script:\d+\.?$/;
/** What no retry mends. */
const hopeless = /^(?:WRONGPASS|NOAUTH|NOPERM|ERR invalid password|ERR Client sent AUTH|ERR DB index)/;

export function isMisdirected(error: unknown): boolean {
  return misdirected.test(textOf(error));
}

/** It has no memory left for what was asked. */
export function isFull(error: unknown): boolean {
  return full.test(textOf(error));
}

export function isHopeless(error: unknown): boolean {
  return error instanceof Unfit || hopeless.test(textOf(error));
}

/** The engine answers, and is not one that can be used. */
export class Unfit extends Error {}

/** What operators are told, with what they can do about it. */
export function unavailable(place: string, cause: unknown): BackendUnavailable {
  if (cause instanceof BackendUnavailable) return cause;
  const text = textOf(cause);
  // The engine's own replies carry the command, and with it what people wrote to each other.
  const isReply = cause instanceof Error && "command" in cause;
  return new BackendUnavailable(`Redis at ${place}: ${tidy(text)}${adviceFor(text)}`, isReply ? {} : { cause });
}

function adviceFor(text: string): string {
  if (/WRONGTYPE|FOREIGN/.test(text))
    return ". A key that Fanfare uses holds something else: give Fanfare a prefix of its own, or delete that key";
  if (full.test(text)) return ". Its memory is full: raise maxmemory, or keep fewer messages";
  if (unsaved.test(text)) return ". It cannot save to its disk, and refuses writes until it can";
  if (alone.test(text)) return ". It has fewer replicas than its min-replicas-to-write asks for";
  if (/^(?:NOAUTH|WRONGPASS|ERR invalid password)/.test(text)) return ". Check the user and password in its URL";
  if (forbidden.test(text)) return ". Its user needs the rule in docs/backends.md";
  if (/ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EAI_AGAIN/.test(text)) return ". Is it running, and is the URL right?";
  return "";
}

/** The reply with one of these codes, alone or out of a script. */
function replies(codes: string): RegExp {
  return new RegExp(`^(?:ERR |${inScript})?(?:${codes})\\b`);
}

function tidy(text: string): string {
  return text
    .replace(new RegExp(`^${inScript}`), "")
    .replace(whereInScript, "")
    .replace(/\.\s*$/, "");
}

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(textOf).join(", ");
  return error instanceof Error ? error.message : String(error);
}
