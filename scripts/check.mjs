// npm run check: all that can be told without running the package. Goes through every step and names those that failed.
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, root, runTool } from "./steps.mjs";

/** Directories with a tsconfig of their own, because they run elsewhere than the root's: no Node, no DOM, JSX. */
const projects = ["src/protocol", "bench", ...(existsSync(join(root, "examples")) ? examples() : [])].filter((path) =>
  existsSync(join(root, path, "tsconfig.json")),
);

const steps = [
  ["types", () => types()],
  ["lint", () => runTool("oxlint/bin/oxlint", ["--deny-warnings", "--report-unused-disable-directives"])],
  ["format", () => runTool("oxfmt/bin/oxfmt", ["--check"])],
  ["dead code", () => runTool("knip/bin/knip.js", ["--no-progress"])],
  ["import directions", () => runTool("vitest/vitest.mjs", ["run", "test/architecture.test.ts"])],
  ["package", () => runTool("publint/src/cli.js", ["--strict"])],
  ["types as others see them", () => runScript("exports.mjs")],
  ["size", () => size()],
];

const failed = [];
if (await build()) {
  for (const [name, step] of steps) {
    console.log(`\n── ${name}`);
    if ((await step()) !== 0) failed.push(name);
  }
} else {
  failed.push("build");
}

console.log(failed.length === 0 ? "\ncheck: all good" : `\ncheck: failed: ${failed.join(", ")}`);
if (process.env.CHECK_RESULT) {
  writeFileSync(process.env.CHECK_RESULT, JSON.stringify({ passed: steps.length - failed.length, failed }));
}
process.exit(failed.length === 0 ? 0 : 1);

async function types() {
  let worst = 0;
  for (const project of [".", ...projects]) worst ||= await runTool("typescript/bin/tsc", ["--noEmit", "-p", project]);
  return worst;
}

/** What an app adds to its page by the client: what the limits of .size-limit.json are for. */
async function size() {
  const { build: bundle } = await import("esbuild");
  await bundle({
    absWorkingDir: root,
    entryPoints: ["src/client/index.ts"],
    outfile: ".tmp/size/client.js",
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
  });
  return runTool("size-limit/bin.js", []);
}

function examples() {
  return readdirSync(join(root, "examples")).map((name) => `examples/${name}`);
}

function runScript(name) {
  return runTool(join("..", "scripts", name), []);
}
