// Packs the package as npm would and asks whether its types resolve for those who import it. ESM only, by design: what
// concerns `require` and the resolution of Node 10 is not asked. Then, whether an app gets the packages that they name.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
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
  for (const name of typesNotGiven()) problems.push({ kind: "NotADependency", entrypoint: name });
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

/** What the declarations need, and neither `dependencies` nor `peerDependencies` bring: without it they are errors, or any. */
function typesNotGiven() {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const given = { ...dependencies, ...peerDependencies };
  const files = readdirSync(join(root, "dist"), { recursive: true }).filter((file) => file.endsWith(".d.ts"));
  const texts = files.map((file) => readFileSync(join(root, "dist", file), "utf8"));
  const named = texts.flatMap((text) => [...text.matchAll(/(?:from |import\()"((?:@[^"/]+\/)?[^".:/]+)[^":]*"/g)]);
  const needed = named.map(([, name]) => (hasTypesApart(name) ? typesOf(name) : name));
  return [...new Set(needed)].filter((name) => !(name in given));
}

function hasTypesApart(name) {
  return existsSync(join(root, "node_modules", typesOf(name)));
}

function typesOf(name) {
  return `@types/${name.replace("@", "").replace("/", "__")}`;
}
