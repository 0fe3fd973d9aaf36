// npm run fuzz -- [--minutes 1] [--seed n] [--target all] [--backend memory|lmdb] [--case n] [--patience-ms 1000]
import { parseArgs } from "node:util";
import type { Case } from "./case.ts";
import { fuzz, type Finding, type Report } from "./run.ts";
import { type Target, targets } from "./targets/index.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    target: { type: "string", default: "all" },
    backend: { type: "string", default: "memory" },
    case: { type: "string" },
    "patience-ms": { type: "string", default: "1000" },
  },
});
const tell = (line: string): void => void process.stdout.write(`${line}\n`);

const asked = values.target === "all" ? Object.keys(targets) : values.target.split(",");
const unknown = asked.find((name) => !Object.hasOwn(targets, name));
const isKnownBackend = values.backend === "memory" || values.backend === "lmdb";
const numbers = [values.minutes, values.seed, values.case ?? "0", values["patience-ms"]].map(Number);
if (unknown !== undefined || !isKnownBackend || numbers.some((number) => !(number >= 0))) {
  tell(
    `fuzz: --target is all or of ${Object.keys(targets).join(", ")}; --backend is memory or lmdb; the rest are numbers`,
  );
  process.exit(2);
}

tell(`seed ${values.seed}, ${values.target} on ${values.backend}`);
const report = await fuzz({
  seed: Number(values.seed),
  seconds: Number(values.minutes) * 60,
  targets: asked as Target[],
  backend: values.backend as "memory" | "lmdb",
  patienceMs: Number(values["patience-ms"]),
  ...(values.case !== undefined && { only: Number(values.case) }),
  tell,
});
sum(report);
if (report.finding === undefined) {
  tell("clean");
} else {
  show(report.finding);
  process.exitCode = 1;
}

function sum({ cases, inputs, seconds, perTarget, seen, heard, worstMs, rssMb, logLines }: Report): void {
  const perS = (count: number): number => Math.round(count / seconds);
  tell(
    `\n${inputs} inputs in ${cases} cases, ${perS(inputs)} and ${perS(cases)} a second for ${Math.round(seconds)} s`,
  );
  tell(`cases: ${[...perTarget].map(([name, count]) => `${name} ${count}`).join(", ")}`);
  const often = [...seen].toSorted(([, a], [, b]) => b - a).map(([what, count]) => `${what} ${count}`);
  tell(`answers: ${often.join(", ")}`);
  tell(
    `the neighbour heard ${heard} messages, the latest after ${Math.round(worstMs)} ms; ${rssMb} MB; ${logLines} lines of log`,
  );
}

function show({ fault, culprit, recent }: Finding): void {
  tell(`\n${fault.kind}: ${fault.what}`);
  if (culprit === undefined) {
    tell(
      `No case shows it alone. Again: npm run fuzz -- --seed ${values.seed} --target ${values.target} --backend ${values.backend}`,
    );
    tell(
      `The cases before it: ${recent
        .slice(-20)
        .map(({ target, seed }) => `${target} ${seed}`)
        .join(", ")}`,
    );
    return;
  }
  tell(`Again: npm run fuzz -- --target ${culprit.target} --case ${culprit.seed} --backend ${values.backend}`);
  tell(`The least that shows it, in base64 and as text, a write a line:\n${bytesOf(culprit.shortest)}`);
}

function bytesOf({ chunks }: Case): string {
  return chunks
    .map((chunk) => `${chunk.toString("base64")}\n${JSON.stringify(chunk.toString("latin1").slice(0, 2_000))}`)
    .join("\n");
}
