// The no-loss proof in full: `no-loss [--seconds 30] [--rate 2000] [--members 50] [--cuts 6] [--kills 3] [--sse] [--seed n]`.
// Runs in memory first, then on lmdb with the server killed and started again; exits with 1 where anything was wrong.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runNoLoss, type NoLossOptions } from "../test/support/no-loss/run.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "30" },
    rate: { type: "string", default: "2000" },
    members: { type: "string", default: "50" },
    cuts: { type: "string", default: "6" },
    kills: { type: "string", default: "3" },
    sse: { type: "boolean", default: false },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  },
});

const folder = await mkdtemp(join(tmpdir(), "fanfare-no-loss-"));
const common = {
  seconds: Number(values.seconds),
  perS: Number(values.rate),
  members: Number(values.members),
  cutsPerMember: Number(values.cuts),
  sse: values.sse,
  seed: Number(values.seed),
};
try {
  await show({ ...common, backend: "memory", kills: 0 });
  await show({ ...common, backend: `lmdb:${folder}`, kills: Number(values.kills) });
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function show(options: NoLossOptions): Promise<void> {
  console.log(`${options.backend.split(":")[0]}: ${JSON.stringify({ ...options, backend: undefined })}`);
  const report = await runNoLoss(options);
  console.log(report);
  const expected = report.published * options.members;
  const isGood =
    report.faultCount === 0 && report.deliveries === expected && report.published === options.seconds * options.perS;
  console.log(isGood ? "nothing lost, nothing twice, nothing out of order\n" : "WRONG: see the faults above\n");
  if (!isGood) process.exitCode = 1;
}
