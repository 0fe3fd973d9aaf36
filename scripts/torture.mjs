// npm run torture: servers, a crowd, faults that a seed decides, and a checker of the invariants. See docs/proof.md.
import { run, setUp } from "./steps.mjs";

if (!(await setUp())) process.exit(1);
process.exit(
  await run(process.execPath, [
    "--import",
    "./scripts/typescript.mjs",
    "test/torture/main.ts",
    ...process.argv.slice(2),
  ]),
);
