// npm run fuzz: attacks a running server over plain sockets, for any length. Arguments go to test/fuzz/main.ts.
import { run, setUp } from "./steps.mjs";

if (!(await setUp())) process.exit(1);
process.exit(
  await run(process.execPath, ["--import", "./scripts/typescript.mjs", "test/fuzz/main.ts", ...process.argv.slice(2)]),
);
