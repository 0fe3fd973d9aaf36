// Packs the package as npm would and asks whether its types resolve for those who import it. ESM only, by design: what
// concerns `require` and the resolution of Node 10 is not asked.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { root } from "./steps.mjs";

const directory = mkdtempSync(join(tmpdir(), "fanfare-pack-"));
try {
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", directory], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [{ filename }] = Object.values(JSON.parse(packed));
  const result = await checkPackage(createPackageFromTarballData(readFileSync(join(directory, filename))));
  const problems = result.types ? result.problems.filter(concernsUs) : [{ kind: "NoTypes" }];
  for (const { kind, entrypoint, resolutionKind } of problems)
    console.error(kind, entrypoint ?? "", resolutionKind ?? "");
  if (problems.length === 0) console.log(`${Object.keys(result.entrypoints ?? {}).length} entry points, types resolve`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true });
}

function concernsUs({ kind, resolutionKind }) {
  return kind !== "CJSResolvesToESM" && resolutionKind !== "node10" && resolutionKind !== "node16-cjs";
}
