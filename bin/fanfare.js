#!/usr/bin/env node
import { existsSync } from "node:fs";

const built = new URL("../dist/cli/index.js", import.meta.url);
if (!existsSync(built)) {
  console.error("fanfare: not built yet; run: npm ci && npm run build");
  process.exit(1);
}

// A reader that goes away (`fanfare serve | head -1`) is no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const { run } = await import(built.href);
process.exit(await run(process.argv.slice(2), process));
