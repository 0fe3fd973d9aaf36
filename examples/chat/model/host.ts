/** What the model needs of the page it lives in. */
export interface Host {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs later, unless undone before. */
  later(run: () => void, ms: number): () => void;
}
