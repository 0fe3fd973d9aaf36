import { existsSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, expect, it } from "vitest";
import { allPages, anchorsOf, proseOf, readPage, root, type Page } from "./markdown.ts";

const pages = allPages();

/** Relative targets; addresses of the web are left to their owners. */
function targetsOf(page: Page): string[] {
  const links = [...proseOf(page).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target = ""]) => target);
  return links.filter((target) => !/^[a-z]+:/.test(target));
}

/** What is wrong with a link, or undefined. */
function faultOf(page: Page, target: string): string | undefined {
  const [file = "", anchor] = target.split("#");
  const path = file === "" ? page.path : posix.join(posix.dirname(page.path), file);
  if (!existsSync(join(root, path))) return `${page.path}: ${target} is not there`;
  if (anchor === undefined) return undefined;
  if (!path.endsWith(".md") || statSync(join(root, path)).isDirectory())
    return `${page.path}: ${target} has no anchors`;
  return anchorsOf(readPage(path)).has(anchor) ? undefined : `${page.path}: ${target} has no such heading`;
}

describe("links of the docs", () => {
  it.each(pages.map((page) => ({ page, path: page.path })))("in $path lead somewhere", ({ page }) => {
    expect(targetsOf(page).flatMap((target) => faultOf(page, target) ?? [])).toEqual([]);
  });

  it("are found, and a broken one is told", () => {
    const page = readPage("README.md");
    expect(targetsOf(page).length).toBeGreaterThan(10);
    expect(faultOf(page, "docs/nowhere.md")).toContain("is not there");
    expect(faultOf(page, "docs/client.md#nowhere")).toContain("no such heading");
  });

  it("reach every page of docs/ from the README", () => {
    const linked = new Set(targetsOf(readPage("README.md")).map((target) => target.split("#")[0]));
    expect(pages.map(({ path }) => path).filter((path) => path.startsWith("docs/") && !linked.has(path))).toEqual([]);
  });
});
