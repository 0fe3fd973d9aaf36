/** What a span tells. Values are codes and names, short and without control characters; never a token, a body or data. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** What makes spans of a hub's work: `openTelemetry()` of `fanfare/opentelemetry`, or one of the app's own. Must not throw. */
export interface Tracing {
  /** Begins a span, as a child of the one that it is called within. */
  start(name: string, facts: SpanFacts): TraceSpan;
}

/** One piece of work, from its beginning to its end. */
export interface TraceSpan {
  /** Does work within the span: what is begun there, also later by its promises, is a child of it. */
  run<T>(work: () => T): T;
  /** Called once. `failure` is the code or class of what went wrong; a refusal by rule is none. */
  end(facts?: SpanFacts, failure?: string): void;
}
