// npm run rolling-restart: three nodes on Redis behind nginx, restarted in turn under traffic. See docs/proof.md.
import { run, setUp } from "./steps.mjs";

if (!(await setUp())) process.exit(1);
const args = ["--import", "./scripts/typescript.mjs", "test/rolling-restart/main.ts"];
process.exit(await run(process.execPath, [...args, ...process.argv.slice(2)]));
