// npm run no-loss: the proof of no loss, no duplicate and no disorder in full. Arguments go to bench/no-loss.ts.
import { run, setUp } from "./steps.mjs";

if (!(await setUp())) process.exit(1);
process.exit(
  await run(process.execPath, ["--import", "./scripts/typescript.mjs", "bench/no-loss.ts", ...process.argv.slice(2)]),
);
