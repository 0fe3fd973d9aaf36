import { groupBy } from "./check/group.ts";
import type { Violation } from "./check/violation.ts";
import type { Rec } from "./records.ts";

const mostOfAKind = 3;
const mostRecordCharacters = 600;

/** For people: what does not hold, with the records that contradict each other, a few of each invariant. */
export function showViolations(violations: readonly Violation[]): string {
  const byInvariant = groupBy(violations, ({ invariant }) => invariant);
  return [...byInvariant]
    .map(([invariant, all]) => {
      const shown = all.slice(0, mostOfAKind).map(showViolation);
      const rest = all.length > mostOfAKind ? [`  … and ${all.length - mostOfAKind} more`] : [];
      const title = invariant === 0 ? "The server misbehaved" : `Invariant ${invariant} does not hold`;
      return [title, ...shown, ...rest].join("\n");
    })
    .join("\n\n");
}

function showViolation({ text, witness }: Violation): string {
  return [`  ${text}`, ...witness.map((record) => `    ${showRecord(record)}`)].join("\n");
}

function showRecord({ at, ...rest }: Rec): string {
  const json = JSON.stringify(rest);
  const text = json.length > mostRecordCharacters ? `${json.slice(0, mostRecordCharacters)} …` : json;
  return `${(at / 1000).toFixed(3).padStart(9)} s  ${text}`;
}
