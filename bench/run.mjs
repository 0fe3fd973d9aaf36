// npm run bench [-- SCENARIO… --quick --pairs N --only SERVER,… --as-built]: measures Fanfare against its peers; see README.md.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setUp } from "../scripts/steps.mjs";
import { printTable, printVerdicts } from "./lib/figures.mjs";
import { bench, canPin, installPeers } from "./lib/tools.mjs";
import { connect } from "./scenarios/connect.mjs";
import { fanout } from "./scenarios/fanout.mjs";
import { memory } from "./scenarios/memory.mjs";
import { nodes } from "./scenarios/nodes.mjs";
import { sse } from "./scenarios/sse.mjs";
import { stalled } from "./scenarios/stalled.mjs";

const scenarios = {
  "fanout-50": ["1,000 members, 50 messages a second", fanout, { ratePerS: 50 }],
  "fanout-1000": ["1,000 members, 1,000 messages a second", fanout, { ratePerS: 1_000 }],
  "sse-50": ["1,000 members over SSE, 50 messages a second", sse, { ratePerS: 50 }],
  "sse-1000": ["1,000 members over SSE, 1,000 messages a second", sse, { ratePerS: 1_000 }],
  "nodes-50": ["1,000 members on another node than the publisher, 50 messages a second", nodes, { ratePerS: 50 }],
  "nodes-1000": ["the same, 1,000 messages a second", nodes, { ratePerS: 1_000 }],
  memory: ["idle connections of distinct users in 100 rooms", memory, {}],
  connect: ["connects, 50 at a time", connect, {}],
  stalled: ["a room of 10 MB/s with a reader that does not read", stalled, {}],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    pairs: { type: "string" },
    only: { type: "string" },
    "as-built": { type: "boolean", default: false },
  },
});
const chosen = positionals.length > 0 ? positionals : Object.keys(scenarios);
const unknown = chosen.find((name) => !Object.hasOwn(scenarios, name));
const pairs = Number(values.pairs ?? (values.quick ? 1 : 3));
if (unknown !== undefined) fail(`no scenario ${unknown}; there are: ${Object.keys(scenarios).join(", ")}`);
if (!Number.isSafeInteger(pairs) || pairs < 1) fail(`--pairs wants a number from 1, got ${values.pairs}`);
if (process.platform !== "linux") fail("the bench reads /proc and needs Linux");

if (!(values["as-built"] || (await setUp())) || !(await installPeers())) process.exit(1);
if (!canPin()) console.log("No second processor or no taskset: server and load share one, and the figures say less.");

const results = { at: new Date().toISOString(), machine: machine(), quick: values.quick, pairs, scenarios: {} };
const only = values.only?.split(",");
const missed = [];
for (const name of chosen) {
  const [title, scenario, options] = scenarios[name];
  const result = await scenario({ ...options, quick: values.quick, pairs, only });
  results.scenarios[name] = result;
  printTable(`${name}: ${title} (medians of ${pairs})`, result.rows);
  if (result.note !== undefined) console.log(result.note);
  printVerdicts(result.verdicts);
  missed.push(...result.verdicts.filter(({ passed }) => !passed));
}
console.log(`\nwritten to ${write()}${missed.length > 0 ? `; ${missed.length} missed` : ""}`);

function machine() {
  return { cpu: cpus()[0]?.model ?? "unknown", processors: cpus().length, node: process.version };
}

function write() {
  const directory = join(bench, "results");
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${results.at.replaceAll(":", "-")}.json`);
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  return file;
}

function fail(why) {
  console.error(`bench: ${why}`);
  process.exit(2);
}
