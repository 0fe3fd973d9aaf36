// npm run torture -- --backend memory|lmdb|… [--minutes n | --seconds n] [--seed n] [--nodes n]. See docs/proof.md.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { check } from "./check/index.ts";
import { engines } from "./engines.ts";
import { kinds, type FaultName } from "./faults/schedule.ts";
import { torture } from "./run.ts";
import { summarise } from "./summary.ts";
import { showViolations } from "./witness.ts";

const { values } = parseArgs({
  options: {
    backend: { type: "string", default: "memory" },
    minutes: { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    nodes: { type: "string" },
    rate: { type: "string", default: "60" },
    faults: { type: "string" },
  },
});

const seconds = values.seconds === undefined ? Number(values.minutes ?? "1") * 60 : Number(values.seconds);
const seed = Number(values.seed);
const { backend } = values;
const faults = values.faults?.split(",") as FaultName[] | undefined;
const wrong = [
  ...(backend in engines ? [] : [`--backend is one of ${Object.keys(engines).join(", ")}`]),
  ...(seconds > 0 && Number.isFinite(seconds) ? [] : ["--minutes and --seconds are numbers over 0"]),
  ...(Number.isSafeInteger(seed) ? [] : ["--seed is an integer"]),
  ...(faults ?? [])
    .filter((one) => !(one in kinds))
    .map((one) => `there is no fault ${one}: ${Object.keys(kinds).join(", ")}`),
];
if (wrong.length > 0) {
  say(wrong.join("\n"));
  process.exit(2);
}

const nodes = values.nodes === undefined ? {} : { nodes: Number(values.nodes) };
const command = ["npm run torture --", "--backend", backend, "--seconds", seconds, "--seed", seed]
  .concat(values.nodes === undefined ? [] : ["--nodes", values.nodes])
  .concat(faults === undefined ? [] : ["--faults", faults.join(",")])
  .join(" ");
say(`${command}\n`);
const only = faults === undefined ? {} : { faults };
const records = await torture({ backend, seconds, seed, perS: Number(values.rate), ...nodes, ...only, tell: say });
const violations = check(records);
const summary = { command, ...summarise(records), violations: violations.length };
say(
  `\n${Object.entries(summary)
    .map(([name, value]) => `${name.padEnd(14)} ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join("\n")}`,
);

const folder = join(".tmp", "torture");
await mkdir(folder, { recursive: true });
const name = join(folder, `${backend}-${seconds}s-${seed}`);
await writeFile(`${name}.json`, `${JSON.stringify(summary)}\n`);
if (violations.length === 0) {
  say("\nAll invariants hold.");
} else {
  await writeFile(`${name}.records.jsonl`, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  say(`\n${showViolations(violations)}\n\nAll records: ${name}.records.jsonl\nAgain: ${command}`);
}
process.exit(violations.length === 0 ? 0 : 1);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
