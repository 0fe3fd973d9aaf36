import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { allPages, blocksOf, root, type Block } from "./markdown.ts";

/** Code that a page shows is the code of a file that is type-checked and run, or of a marked region of it. */
const blocks = allPages().flatMap(blocksOf);
const code = blocks.filter(({ info }) => /^(ts|tsx|js|mjs|typescript|javascript|python)\b/.test(info));

/** `ts file=examples/docs/readme.ts#imports-server+server`: regions, joined by an empty line. */
function shown(info: string): string {
  const [, file = "", regions] = /^\w+ file=(\S+?)(?:#(\S+))?$/.exec(info) ?? [];
  const text = readFileSync(join(root, file), "utf8");
  if (regions === undefined) return withoutMarks(text);
  return regions
    .split("+")
    .map((name) => region(text, name))
    .join("\n");
}

function region(text: string, name: string): string {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => [`// #region ${name}`, `# #region ${name}`].includes(line.trim()));
  const end = lines.findIndex((line, i) => i > start && /^(?:\/\/|#) #endregion$/.test(line.trim()));
  if (start === -1 || end === -1) throw new Error(`no region ${name}`);
  const indent = (lines[start] ?? "").search(/\S/);
  const inside = lines.slice(start + 1, end).map((line) => line.slice(indent));
  return `${inside.join("\n")}\n`;
}

function withoutMarks(text: string): string {
  return text.replaceAll(/^ *\/\/ #(?:region|endregion).*\n/gm, "");
}

function where({ page, line }: Block): string {
  return `${page}:${line}`;
}

describe("code in the docs", () => {
  it("is there", () => {
    expect(code.length).toBeGreaterThan(15);
  });

  it("names the file that it comes from", () => {
    expect(code.filter(({ info }) => !info.includes(" file=")).map(where)).toEqual([]);
  });

  it.each(code.filter(({ info }) => info.includes(" file=")).map((block) => ({ block, at: where(block) })))(
    "$at is what the file says",
    ({ block }) => {
      expect(block.text).toBe(shown(block.info));
    },
  );

  it("is in no fence without a language", () => {
    expect(blocks.filter(({ info }) => info === "").map(where)).toEqual([]);
  });
});
