import type { Rec } from "../records.ts";

/** An invariant that does not hold, and the few records that contradict each other. */
export interface Violation {
  /** Of the list in DESIGN.md; 0: the server did what no rule allows. */
  readonly invariant: number;
  readonly text: string;
  readonly witness: readonly Rec[];
}

export function violation(invariant: number, text: string, ...witness: readonly (Rec | undefined)[]): Violation {
  return { invariant, text, witness: witness.filter((record) => record !== undefined) };
}
