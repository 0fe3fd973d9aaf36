import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

export const root: string = join(import.meta.dirname, "../..");

/** A page of the documentation, its path relative to the repository's root. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

export interface Block {
  readonly page: string;
  /** The line in the page, from 1. */
  readonly line: number;
  /** What stands behind the fence: `ts file=examples/docs/rooms.ts`. */
  readonly info: string;
  readonly text: string;
}

const fence = /^```([^\n]*)\n(.*?)^```$/gms;

export function readPage(path: string): Page {
  return { path, text: readFileSync(join(root, path), "utf8") };
}

/** What people read: the pages at the root, those in docs/, and that of the vectors. */
export function allPages(): Page[] {
  const inRoot = readdirSync(root).filter((name) => name.endsWith(".md"));
  const inDocs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  return [...inRoot, ...inDocs.map((name) => posix.join("docs", name)), "vectors/README.md"].map(readPage);
}

export function blocksOf({ path, text }: Page): Block[] {
  return [...text.matchAll(fence)].map(({ index, 1: info = "", 2: block = "" }) => ({
    page: path,
    line: text.slice(0, index).split("\n").length,
    info: info.trim(),
    text: block,
  }));
}

/** The page without its fenced blocks and without inline code: what looks like a link there is none. */
export function proseOf({ text }: Page): string {
  return text.replaceAll(fence, "").replaceAll(/`[^`\n]*`/g, "");
}

/** The anchors that GitHub gives to headings. */
export function anchorsOf({ text }: Page): Set<string> {
  const headings = [...text.replaceAll(fence, "").matchAll(/^#{1,6} +(.+)$/gm)].map(([, heading = ""]) =>
    slugOf(heading),
  );
  const seen = new Map<string, number>();
  return new Set(
    headings.map((slug) => {
      const before = seen.get(slug) ?? 0;
      seen.set(slug, before + 1);
      return before === 0 ? slug : `${slug}-${before}`;
    }),
  );
}

function slugOf(heading: string): string {
  const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
  return plain
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

/** The rows of the first table under a heading; cells without their backticks. Throws where there is none. */
export function tableUnder({ path, text }: Page, heading: string): string[][] {
  const start = text.split("\n").findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === heading);
  if (start === -1) throw new Error(`${path} has no heading ${JSON.stringify(heading)}`);
  const rest = text.split("\n").slice(start + 1);
  const end = rest.findIndex((line) => /^#+ /.test(line));
  const lines = (end === -1 ? rest : rest.slice(0, end)).filter((line) => line.startsWith("|"));
  if (lines.length < 3) throw new Error(`${path} has no table under ${JSON.stringify(heading)}`);
  return lines.slice(2).map(cellsOf);
}

function cellsOf(line: string): string[] {
  const cells = line
    .replaceAll(String.raw`\|`, "\0")
    .split("|")
    .slice(1, -1);
  return cells.map((cell) => cell.replaceAll("\0", "|").replaceAll("`", "").trim());
}
