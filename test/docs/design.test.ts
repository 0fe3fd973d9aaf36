import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readPage, root, tableUnder } from "./markdown.ts";

const rows = tableUnder(readPage("DESIGN.md"), "Invariants");
/** `[file](path) "title of a test"`. */
const named = rows.flatMap(([number = "", , by = ""]) =>
  [...by.matchAll(/\]\(([^)]+\.test\.ts)\) "([^"]+)"/g)].map(([, path = "", title = ""]) => ({ number, path, title })),
);

describe("the invariants of DESIGN.md", () => {
  it("are fourteen, and each names its test or says that there is none", () => {
    expect(rows.map(([number]) => Number(number))).toEqual(Array.from({ length: 14 }, (_, i) => i + 1));
    expect(rows.filter(([, , by = ""]) => !/\.test\.ts\)|[Nn]one yet|Not for one process/.test(by))).toEqual([]);
    expect(named.length).toBeGreaterThan(10);
  });

  it.each(named)("$number: $title", ({ path, title }) => {
    expect(readFileSync(join(root, path), "utf8")).toContain(`"${title}"`);
  });
});

describe("the files of DESIGN.md", () => {
  it("are those of the server, each once", () => {
    const listed = tableUnder(readPage("DESIGN.md"), "Inside the server").flatMap(([files = ""]) => files.split(", "));
    const there = readdirSync(join(root, "src/server"), { withFileTypes: true });
    expect(listed.sort()).toEqual(there.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort());
  });
});
