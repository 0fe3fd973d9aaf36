// npm test: sets up what is missing, checks, runs the tests and then the commands that the README promises. The sum
// at its end counts tests, and each of the other steps as one. Arguments go to vitest.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { findPrograms } from "./programs.mjs";
import { build, install, root, run, runTool } from "./steps.mjs";

const results = join(root, ".tmp", "results");
rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

const ready = (await step("npm ci", install)) && (await step("npm run build", build));
if (ready) {
  const programs = await findPrograms();
  for (const { title, path } of programs) await step(title, () => path !== undefined);
  await check();
  await vitest(programs);
  await readme();
}
report();

async function step(name, work) {
  const good = await work();
  count(good ? 1 : 0, good ? [] : [name]);
  return good;
}

function count(passed, failed) {
  total.passed += passed;
  total.failed += failed.length;
  failures.push(...failed);
}

async function check() {
  const file = join(results, "check.json");
  await run(process.execPath, [join(root, "scripts", "check.mjs")], { CHECK_RESULT: file });
  const result = readJson(file) ?? { passed: 0, failed: ["it ended early"] };
  count(
    result.passed,
    result.failed.map((name) => `check: ${name}`),
  );
}

async function vitest(programs) {
  const file = join(results, "vitest.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const found = programs.filter(({ path }) => path !== undefined);
  const env = Object.fromEntries(found.map(({ variable, path }) => [variable, path]));
  const code = await runTool("vitest/vitest.mjs", ["run", ...reporters, ...process.argv.slice(2)], env);
  const result = readJson(file);
  if (result === undefined) return count(0, ["vitest: it ended early"]);
  const failed = result.testResults.flatMap(failuresOf);
  // Whatever else made it fail: an unhandled rejection, a file that could not be loaded.
  if (code !== 0 && failed.length === 0) failed.push("vitest: errors outside of tests");
  total.skipped += result.numPendingTests + result.numTodoTests;
  return count(result.numPassedTests, failed);
}

function failuresOf({ name: path, status, assertionResults }) {
  const name = relative(root, path);
  const failed = assertionResults.filter((test) => test.status === "failed").map((test) => `${name}: ${test.fullName}`);
  return status === "failed" && failed.length === 0 ? [`${name}: did not run`] : failed;
}

async function readme() {
  const file = join(results, "readme.json");
  await run(process.execPath, [join(root, "scripts", "readme.mjs")], { README_RESULT: file });
  const result = readJson(file) ?? { passed: 0, failed: ["it ended early"] };
  count(
    result.passed,
    result.failed.map((name) => `README: ${name}`),
  );
}

function readJson(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

function report() {
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map((name) => `  ${name}`).join("\n")}`);
  if (total.skipped > 0) console.log(`\n${total.skipped} skipped`);
  const line = `${total.passed} passed, ${total.failed} failed`;
  writeFileSync(join(results, "summary.txt"), `${line}\n`);
  console.log(`\nAll in all: ${line}`);
  process.exit(total.failed === 0 ? 0 : 1);
}
