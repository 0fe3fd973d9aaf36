// npm run example -- parity: installs and builds what is missing, then serves the examples of examples/parity. They import
// the package by its name, as an app would, which inside the package is its own build. Node 20 runs no TypeScript, so
// esbuild bundles them first.
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root, setUp } from "./steps.mjs";

const [name = "parity"] = process.argv.slice(2);
const entry = join(root, "examples", name, "main.ts");
if (!/^[\w-]+$/.test(name) || !existsSync(entry)) {
  console.error(`There is no example ${JSON.stringify(name)}. Try: npm run example -- parity`);
  process.exit(2);
}
if (!(await setUp())) process.exit(1);

// Below the package, so that its dependencies and its own name are found from there.
const outfile = join(root, ".tmp", "examples", `${name}.mjs`);
const { build } = await import("esbuild");
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  packages: "external",
  // The example's own tsconfig maps the package to its sources, for the type checker alone.
  tsconfigRaw: "{}",
  platform: "node",
  format: "esm",
  target: "node20",
  logLevel: "warning",
});
const { main } = await import(pathToFileURL(outfile).href);
main(process.env, console.log);
