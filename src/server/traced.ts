import { BackendUnavailable } from "../backends/backend.ts";
import { isLater } from "./later.ts";
import { errorFacts, plainText } from "./logging.ts";
import { Refused } from "./refused.ts";
import type { SpanFacts, TraceSpan, Tracing } from "./tracing.ts";

/** How much of a room's name a span has. */
const maxNameCharacters = 100;

/** A name from outside as a span may have it. */
export function nameFact(name: string): string {
  return plainText(name.slice(0, maxNameCharacters));
}

/** Of a message or signal that came by other ways than a connection. */
export function messageFacts(via: "server" | "call", room: string, event: string): () => SpanFacts {
  return () => ({ "fanfare.via": via, "fanfare.room": nameFact(room), "fanfare.event": nameFact(event) });
}

/** Does work within a span that ends when the work's outcome is known. Without `tracing` it is the work alone. */
export function traced<T>(tracing: Tracing | undefined, name: string, facts: () => SpanFacts, work: () => T): T {
  if (tracing === undefined) return work();
  const span = tracing.start(name, facts());
  return endWith(span, () => span.run(work));
}

/** The same for a publish, whose outcome comes after its place among the room's messages is settled. */
export function tracedPublish<S extends { readonly outcome: Promise<unknown> }>(
  tracing: Tracing | undefined,
  facts: () => SpanFacts,
  submit: () => Promise<S>,
): Promise<S> {
  if (tracing === undefined) return submit();
  const span = tracing.start("fanfare.publish", facts());
  const submitted = span.run(submit);
  const failed = (error: unknown): void => endFailed(span, error);
  submitted.then(({ outcome }) => void outcome.then(() => span.end(), failed), failed);
  return submitted;
}

function endWith<T>(span: TraceSpan, work: () => T): T {
  try {
    const found = work();
    if (isLater(found as unknown)) {
      (found as PromiseLike<unknown>).then(
        () => span.end(),
        (error: unknown) => endFailed(span, error),
      );
    } else span.end();
    return found;
  } catch (error) {
    endFailed(span, error);
    throw error;
  }
}

/** An error's own words may hold what users sent, so its code or class stands for it. */
function endFailed(span: TraceSpan, error: unknown): void {
  if (error instanceof Refused) span.end({ "fanfare.code": error.code });
  else if (error instanceof BackendUnavailable) span.end({ "fanfare.code": "unavailable" }, "unavailable");
  else span.end({ "fanfare.code": "internal" }, errorFacts(error).type);
}
