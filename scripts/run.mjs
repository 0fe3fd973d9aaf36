// node scripts/run.mjs FILE.ts …: installs and builds what is missing, then runs a program of ours with the arguments after it.
import { run, setUp } from "./steps.mjs";

if (!(await setUp())) process.exit(1);
process.exit(await run(process.execPath, ["--import", "./scripts/typescript.mjs", ...process.argv.slice(2)]));
