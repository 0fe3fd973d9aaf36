// npm run torture -- --backend memory|lmdb|… [--minutes n | --seconds n] [--seed n[,n…]] [--nodes n]. See docs/proof.md.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { check } from "./check/index.ts";
import { engines } from "./engines/index.ts";
import { kinds, type FaultName } from "./faults/schedule.ts";
import { torture, type TortureOptions } from "./run.ts";
import { summarise, tableHead, tableRow } from "./summary.ts";
import { showViolations } from "./witness.ts";

const { values } = parseArgs({
  options: {
    backend: { type: "string", default: "memory" },
    minutes: { type: "string", default: "1" },
    seconds: { type: "string" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    nodes: { type: "string" },
    rate: { type: "string", default: "60" },
    faults: { type: "string" },
  },
});

const { backend } = values;
const seconds = values.seconds === undefined ? Number(values.minutes) * 60 : Number(values.seconds);
const seeds = values.seed.split(",").map(Number);
const nodes = values.nodes === undefined ? undefined : Number(values.nodes);
const faults = values.faults?.split(",") as FaultName[] | undefined;
const folder = join(".tmp", "torture");

const wrong = [
  ...(Object.hasOwn(engines, backend) ? [] : [`--backend is one of ${Object.keys(engines).join(", ")}`]),
  ...(seconds > 0 && Number.isFinite(seconds) ? [] : ["--minutes and --seconds are numbers over 0"]),
  ...(seeds.every(Number.isSafeInteger) ? [] : ["--seed is an integer, or several with commas between them"]),
  ...(nodes === undefined || nodes > 0 ? [] : ["--nodes is a number over 0"]),
  ...(Number(values.rate) > 0 ? [] : ["--rate is a number over 0"]),
  ...(faults ?? [])
    .filter((one) => !Object.hasOwn(kinds, one))
    .map((one) => `there is no fault ${one}; there are ${Object.keys(kinds).join(", ")}`),
];
if (wrong.length > 0) {
  say(wrong.join("\n"));
  process.exit(2);
}

await mkdir(folder, { recursive: true });
const rows: string[] = [];
for (const seed of seeds) rows.push(await runWith(seed));
say(`\n${tableHead}\n${rows.join("\n")}`);

/** Runs once, says what came of it and gives its row of the table. */
async function runWith(seed: number): Promise<string> {
  const command = commandOf(seed);
  say(`\n${command}\n`);
  const options: TortureOptions = {
    ...{ backend, seconds, seed, perS: Number(values.rate), tell: say },
    ...(nodes !== undefined && { nodes }),
    ...(faults !== undefined && { faults }),
  };
  const records = await torture(options);
  const violations = check(records);
  const summary = {
    command,
    ...summarise(records),
    broken: [...new Set(violations.map(({ invariant }) => invariant))],
  };
  const lines = Object.entries(summary).map(([name, value]) => `${name.padEnd(14)} ${JSON.stringify(value)}`);
  say(`\n${lines.join("\n")}`);
  const name = join(folder, `${backend}-${seconds}s-${seed}`);
  await writeFile(`${name}.json`, `${JSON.stringify(summary)}\n`);
  if (violations.length === 0) {
    say("\nAll invariants hold.");
  } else {
    process.exitCode = 1;
    await writeFile(`${name}.records.jsonl`, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    say(`\n${showViolations(violations)}\n\nAll records: ${name}.records.jsonl\nAgain: ${command}`);
  }
  return tableRow(summary);
}

function commandOf(seed: number): string {
  const flags = [
    `--backend ${backend} --seconds ${seconds} --seed ${seed}`,
    ...(nodes === undefined ? [] : [`--nodes ${nodes}`]),
    ...(values.rate === "60" ? [] : [`--rate ${values.rate}`]),
    ...(faults === undefined ? [] : [`--faults ${faults.join(",")}`]),
  ];
  return `npm run torture -- ${flags.join(" ")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
