import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, it, onTestFinished } from "vitest";
import { freePort } from "../support/ports.ts";
import { root } from "./markdown.ts";

const folder = join(root, "examples/docs");

/** Bundles a program of the page, as Node 20 runs no TypeScript, and gives its file. */
async function bundled(name: string, contents: string): Promise<string> {
  const outfile = join(root, ".tmp/examples", `${name}.mjs`);
  await build({
    stdin: { contents, resolveDir: folder, loader: "ts" },
    ...{ bundle: true, packages: "external", platform: "node", format: "esm", target: "node20" },
    // The example's own tsconfig maps the package to its sources, for the type checker alone.
    ...{ outfile, tsconfigRaw: "{}", logLevel: "warning" },
  });
  return outfile;
}

function run(file: string, ...args: string[]): ChildProcess & { shown(): string } {
  const child = spawn(process.execPath, [file, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
  return Object.assign(child, { shown: () => text });
}

it("getting started ends in a terminal that sends what is typed, also what is typed while the server is away", async () => {
  const port = await freePort();
  const serverFile = await bundled(
    "start",
    `import { server } from "./start.ts"; server.listen(${port}, "127.0.0.1");`,
  );
  const server = run(serverFile);
  const terminal = readFileSync(join(folder, "start-terminal.ts"), "utf8");
  const ann = run(await bundled("start-terminal", terminal), `http://127.0.0.1:${port}`);
  ann.stdin!.write("hello\n");
  await expect.poll(ann.shown, { timeout: 20_000 }).toContain("ann: hello\n");
  server.kill("SIGKILL");
  await once(server, "exit");
  ann.stdin!.write("is anybody there?\n");
  run(serverFile);
  await expect.poll(ann.shown, { timeout: 20_000 }).toContain("ann: is anybody there?\n");
  expect(ann.shown().match(/ann: /g)).toHaveLength(2);
});
