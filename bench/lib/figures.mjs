// Medians, verdicts and tables.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The median of each figure over several runs of the same thing. */
export function medians(runs) {
  return Object.fromEntries(Object.keys(runs[0]).map((name) => [name, median(runs.map((run) => run[name]))]));
}

/** One claim: `figure` against `target`, both in `unit`. Less is better unless `atLeast`. */
export function verdict(claim, figure, target, { unit = "", atLeast = false } = {}) {
  const passed = atLeast ? figure >= target : figure <= target;
  return { claim, figure, target, unit, atLeast, passed };
}

export function printVerdicts(verdicts) {
  for (const { claim, figure, target, unit, atLeast, passed } of verdicts) {
    const bound = `${atLeast ? "at least" : "at most"} ${target}${unit}`;
    console.log(`${passed ? "PASS" : "MISS"}  ${claim}: ${round(figure)}${unit} (${bound})`);
  }
}

/** What to say under a table whose rows tell how long server or load waited for a processor. */
export function noteOnWaiting(rows) {
  const waited = Math.max(...rows.map((row) => row["waited %"]));
  return waited > 10 ? "Other programs kept the processors busy: run this again on a quiet machine." : undefined;
}

export function printTable(title, rows) {
  console.log(`\n${title}`);
  const names = Object.keys(rows[0]);
  const cells = [names, ...rows.map((row) => names.map((name) => format(row[name])))];
  const widths = names.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  for (const line of cells) {
    console.log(line.map((cell, n) => (n === 0 ? cell.padEnd(widths[n]) : cell.padStart(widths[n]))).join("  "));
  }
}

function format(value) {
  return typeof value === "number" ? String(round(value)) : String(value ?? "");
}

/** Three digits that matter. */
function round(value) {
  if (!Number.isFinite(value) || value === 0) return value;
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return Number(value.toFixed(Math.min(digits, 4)));
}
