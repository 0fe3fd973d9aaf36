import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { start } from "../cli/process.ts";
import { closeCodes } from "../../src/protocol/codes.ts";
import { blocksOf, readPage, root, tableUnder } from "./markdown.ts";

const page = readPage("docs/sse.md");
const blocks = blocksOf(page);

function hasCurl(): boolean {
  try {
    execFileSync("curl", ["--version"]);
    return true;
  } catch {
    return false;
  }
}

function shell(command: string): Promise<string> {
  // curl ends with 28 when its time is over, as it is meant to here.
  return new Promise((resolve) => execFile("bash", ["-c", command], (_error, stdout) => resolve(stdout)));
}

describe("the page on SSE", () => {
  it.skipIf(!hasCurl())("shows a server and a curl that listens to it", async () => {
    const serve = blocks.find(({ info }) => info === "sh run")?.text.trim() ?? "";
    const args = [...serve.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "").slice(2);
    const fromRoot = args.map((arg) => (arg.startsWith("examples/") ? join(root, arg) : arg));
    const url = await start([...fromRoot, "--port", "0"]).url;
    const curl = blocks.find(({ info }) => info === "sh curl")?.text.trim() ?? "";
    const output = await shell(curl.replace("http://127.0.0.1:8080", url).replace("--max-time 5", "--max-time 1"));
    const types = [...output.matchAll(/^data: (.*)$/gm)].map(
      ([, data = ""]) => (JSON.parse(data) as { type: string }).type,
    );
    expect(types).toEqual(["welcome", "joined"]);
    const shown = blocks.find(({ info }) => info === "text")?.text ?? "";
    expect([...shown.matchAll(/"type":"(\w+)"/g)].map(([, type]) => type)).toEqual([...types, "message"]);
  });

  it("names closes that there are", () => {
    const codes = tableUnder(page, "What ends it").map(([code]) => Number(code));
    expect(codes.length).toBeGreaterThan(3);
    for (const code of codes) expect(Object.values(closeCodes)).toContain(code);
  });
});
