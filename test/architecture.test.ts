import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const src = fileURLToPath(new URL("../src", import.meta.url));

/** What each folder may import, besides itself. Type imports count: a type is a dependency too. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  backends: ["protocol"],
  client: ["protocol"],
  server: ["protocol", "backends"],
  testing: ["protocol", "backends", "server", "client"],
  http: ["protocol", "server"],
  cli: ["protocol", "backends", "server", "http"],
  telemetry: ["server"],
};

/** The packages each folder may import. The client has none: it is at most 8 kB and has no dependencies. */
const mayUse: Readonly<Record<string, readonly string[]>> = {
  protocol: ["@standard-schema/spec"],
  backends: ["@nats-io/transport-node", "ioredis", "lmdb", "node"],
  client: ["@standard-schema/spec"],
  server: ["@standard-schema/spec", "fast-jwt", "jose", "prom-client", "ws", "node"],
  testing: ["vitest", "node"],
  http: ["node"],
  cli: ["citty", "pino", "node"],
  telemetry: ["@opentelemetry/api", "node"],
};

/** All of the server that knows a backend is the contract, and memory as what it takes when it is given none. */
const backendsForServer = ["backends/backend.ts", "backends/memory/index.ts"];

interface Import {
  readonly from: string;
  /** A path under src, or a package's name; `node` for all that comes with it. */
  readonly to: string;
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
  .sort();
const imports: readonly Import[] = files.flatMap(importsOf);
const within = (path: string): boolean => path.endsWith(".ts");
const folderOf = (path: string): string => path.split("/", 1)[0] ?? "";

function importsOf(from: string): Import[] {
  return specifiers(source(from)).map((specifier) => ({ from, to: resolve(from, specifier) }));
}

function source(name: string): string {
  return readFileSync(join(src, name), "utf8");
}

function specifiers(text: string): string[] {
  const forms = [
    /^\s*(?:import|export)\s[^"';]*?from\s*"([^"]+)"/gms,
    /^\s*import\s*"([^"]+)"/gm,
    /\bimport\(\s*"([^"]+)"\s*\)/g,
  ];
  return forms.flatMap((form) => [...text.matchAll(form)].map((match) => match[1]!));
}

function resolve(from: string, specifier: string): string {
  if (specifier.startsWith(".")) return relative(src, join(src, dirname(from), specifier));
  if (specifier.startsWith("node:") || builtinModules.includes(specifier)) return "node";
  const parts = specifier.split("/");
  return parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

/** The first way round, or undefined. */
function findCycle(): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const { to } of imports.filter((one) => one.from === file && within(one.to))) {
      const cycle = visit(to, [...path, file]);
      if (cycle !== undefined) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of files) {
    const cycle = visit(file, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

describe("dependencies run one way", () => {
  test("the reader of imports sees all their forms", () => {
    const text = [
      'import a from "./a.ts";',
      'import type {\n  B,\n} from "./b.ts";',
      'export * from "./c.ts";',
      'import "./d.ts";',
      'const e = await import("./e.ts");',
    ].join("\n");
    expect(specifiers(text).sort()).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });

  test("every folder has its row", () => {
    expect(Object.keys(mayImport)).toEqual(expect.arrayContaining([...new Set(files.map(folderOf))]));
    expect(imports.length).toBeGreaterThan(50);
  });

  test.each(Object.keys(mayImport))("%s imports only what it may", (folder) => {
    const allowed = [folder, ...(mayImport[folder] ?? [])];
    const own = imports.filter(({ from }) => folderOf(from) === folder);
    expect(own.filter(({ to }) => within(to) && !allowed.includes(folderOf(to)))).toEqual([]);
    expect(own.filter(({ to }) => !within(to) && !(mayUse[folder] ?? []).includes(to))).toEqual([]);
  });

  test("the server knows backends by their contract", () => {
    const known = imports.filter(({ from, to }) => folderOf(from) === "server" && folderOf(to) === "backends");
    expect(known.filter(({ to }) => !backendsForServer.includes(to))).toEqual([]);
  });

  test("there is no cycle", () => {
    expect(findCycle()).toBeUndefined();
  });
});

describe("the protocol is pure", () => {
  const impure =
    /\bDate\.now\b|\bnew Date\b|\bMath\.random\b|\bperformance\.|\bcrypto\.|\bprocess\.|\bBuffer\b|\bset(?:Timeout|Interval)\b/;

  test.each(files.filter((file) => folderOf(file) === "protocol"))(
    "%s knows no clock, randomness or platform",
    (file) => {
      const code = source(file).replace(/\/\*.*?\*\/|\/\/.*$/gms, "");
      expect(impure.exec(code)?.[0]).toBeUndefined();
    },
  );
});
